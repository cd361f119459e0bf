import { systemClock } from '../../protocol/index.js';
import type { BoardWatch } from '../messages.js';
import type { AgentLink } from './agent-link.js';

/** What the device's thread counts it tells between two steps, which may take longer than whoever watches waits. */
const DEVICE_MS = 2_000;
const ANSWER_MS = 60_000;

/** What a board says of itself to whoever watches the fleet. */
export class Watch {
  readonly #link: AgentLink;
  /** What the device's thread told last. */
  #last: Pick<BoardWatch, 'engine' | 'traffic'> = {};
  #asked: Promise<void> | undefined;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  /** As it is now; in the middle of a long step, what was counted before it. @throws PynqLlmError as the agent */
  async read(): Promise<BoardWatch> {
    const health = await this.#link.request('board.health', {}, ANSWER_MS);
    if (health.state !== 'ready') {
      this.#last = {};
      return { health };
    }
    // Asked once however often somebody looks.
    this.#asked ??= this.#ask().finally(() => {
      this.#asked = undefined;
    });
    let stop = () => {};
    const patience = new Promise<void>((resolve) => {
      stop = systemClock.after(DEVICE_MS, resolve);
    });
    await Promise.race([this.#asked, patience]);
    stop();
    return { health, ...this.#last };
  }

  async #ask(): Promise<void> {
    try {
      const [engine, { traffic }] = await Promise.all([
        this.#link.request('metrics.read', {}, ANSWER_MS),
        this.#link.request('counters.read', {}, ANSWER_MS),
      ]);
      this.#last = { engine, traffic };
    } catch {
      // The device's thread was lost, and its counts with it.
      this.#last = {};
    }
  }
}
