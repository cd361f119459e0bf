import type { Bus } from '../../bus/index.js';
import { systemClock } from '../../protocol/index.js';
import { MAX_PAGE_CHANGES, type PageNews, pack } from '../messages.js';
import { pagesOf } from '../subjects.js';
import type { AgentLink } from './agent-link.js';

/** The engine is asked so often which pages came and went while requests run; this bounds what is sent, too. */
const LOOK_MS = 500;
/** Otherwise so often: clients of the board's own address change pages, too, and what was lost of the news is noticed by the next. */
const QUIET_LOOKS = 10;

interface PageNewsOptions {
  readonly bus: Bus;
  readonly link: AgentLink;
  /** The board's name. */
  readonly board: string;
  /** Models that are loaded. */
  readonly models: () => readonly string[];
  /** Whether requests of the fleet run. */
  readonly isBusy: () => boolean;
}

/** Tells which prefix pages the board's engines keep, as they change. It is asked of the agent: nothing of an engine waits for it. */
export class PageNewsTeller {
  readonly #options: PageNewsOptions;
  /** What was told last, by model. */
  readonly #told = new Map<string, { readonly index: string; readonly version: number }>();
  #wasBusy = false;
  #quiet = 0;
  #stop: () => void = () => {};
  #isClosed = false;

  constructor(options: PageNewsOptions) {
    this.#options = options;
    this.#again();
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  #again(): void {
    if (this.#isClosed) return;
    this.#stop = systemClock.after(LOOK_MS, () => void this.#look().finally(() => this.#again()));
  }

  async #look(): Promise<void> {
    const { models, isBusy } = this.#options;
    const loaded = models();
    for (const model of [...this.#told.keys()]) if (!loaded.includes(model)) this.#told.delete(model);
    const busy = isBusy();
    // What ended since it was looked last has left pages, too.
    const isDue = busy || this.#wasBusy || ++this.#quiet >= QUIET_LOOKS;
    this.#wasBusy = busy;
    for (const model of loaded)
      if (isDue || !this.#told.has(model))
        // A model that is unloaded meanwhile, or an agent that ends: the next look knows.
        await this.#tell(model).catch(() => undefined);
    if (isDue) this.#quiet = 0;
  }

  async #tell(model: string): Promise<void> {
    const { bus, link, board } = this.#options;
    const since = this.#told.get(model);
    const held = await link.request('models.pages', { model, since });
    const { index, version, isWhole, added, removed } = held;
    if (this.#isClosed) return;
    const isShort = !isWhole && Math.max(added.length, removed.length) <= MAX_PAGE_CHANGES;
    const news: PageNews = isShort
      ? { model, index, from: since?.version, version, added, removed }
      : { model, index, version, added: [], removed: [] };
    if (bus.publish(pagesOf(board), pack(news))) this.#told.set(model, { index, version });
  }
}
