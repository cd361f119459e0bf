import type { Bus } from '../../bus/index.js';
import { isPynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { errorToWire, type Params } from '../../protocol/index.js';
import type { BoardModel } from '../messages.js';
import type { AgentLink, MemberAgent } from './agent-link.js';
import { fetchModel } from './fetch-model.js';

/** Loading packs the weights of a large model, on a board for minutes. */
const LOAD_MS = 3_600_000;
/** Others are told so often how far it is. */
const TELL_MS = 500;

interface LoadsOptions {
  readonly bus: Bus;
  readonly agent: MemberAgent;
  readonly link: AgentLink;
  readonly log: Log;
  /** Told when what `list` gives has changed. */
  readonly onChange: () => void;
}

/** The models that a member has been asked for: fetched and loaded one after the other. */
export class Loads {
  readonly #options: LoadsOptions;
  readonly #models = new Map<string, BoardModel>();
  readonly #closing = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #attempts = 0;
  #toldAt = 0;

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  list(): BoardModel[] {
    return [...this.#models.values()];
  }

  /**
   * Begins to load a model, again where it failed before; nothing where it is loaded or on its way.
   * @returns the number of the attempt that tells how it went
   */
  begin(params: Params<'models.load'>): number {
    const digest = params.model;
    const before = this.#models.get(digest);
    if (before?.state === 'loading' || before?.state === 'loaded') return before.attempt;
    const attempt = ++this.#attempts;
    this.#set({ digest, attempt, state: 'loading', done: 0, total: 1 });
    this.#last = this.#last.then(() => this.#load(params, attempt));
    return attempt;
  }

  /** Has a model in the board's store, once it has done what it was asked for before. @throws PynqLlmError as fetchModel */
  fetch(digest: string): Promise<void> {
    const { bus, agent } = this.#options;
    const fetched = this.#last.then(() => fetchModel(bus, agent, digest, () => {}, this.#closing.signal));
    this.#last = fetched.catch(() => undefined);
    return fetched;
  }

  /** The device has lost what was on it. */
  forgetAll(): void {
    for (const digest of [...this.#models.keys()]) this.forget(digest);
  }

  /** It was unloaded. */
  forget(digest: string): void {
    if (this.#models.get(digest)?.state === 'loading') return;
    if (this.#models.delete(digest)) this.#options.onChange();
  }

  close(): void {
    this.#closing.abort();
  }

  async #load(params: Params<'models.load'>, attempt: number): Promise<void> {
    const { bus, agent, link, log } = this.#options;
    const digest = params.model;
    const tell = (done: number, total: number) => {
      const now = performance.now();
      if (now - this.#toldAt < TELL_MS) return;
      this.#toldAt = now;
      this.#set({ digest, attempt, state: 'loading', done, total });
    };
    try {
      await fetchModel(bus, agent, digest, tell, this.#closing.signal);
      const opened = link.openStream('models.load', params, ({ done, total }) => tell(done, total), LOAD_MS);
      // It reads all that comes.
      opened.stream.grant(Number.MAX_SAFE_INTEGER);
      await opened.result.finally(opened.release);
      this.#set({ digest, attempt, state: 'loaded' });
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (!isPynqLlmError(error)) log.error({ err: error }, 'unexpected error while a model was loaded');
      this.#set({ digest, attempt, state: 'failed', error: errorToWire(error, 'AGENT_INTERNAL') });
    }
  }

  #set(model: BoardModel): void {
    this.#models.set(model.digest, model);
    this.#options.onChange();
  }
}
