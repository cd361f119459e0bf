import type { Clock } from '../../protocol/index.js';
import type { LoadHistory } from '../advice/load-history.js';

/** It is looked so often, and the mean of so many looks is a line: one a minute. */
const LOOK_MS = 5_000;
const LOOKS = 12;
export const SAMPLE_MS = LOOK_MS * LOOKS;

interface LoadMeterOptions {
  readonly clock: Clock;
  readonly history: LoadHistory;
  /** Milliseconds since 1970. */
  readonly time?: (() => number) | undefined;
  /** Boards that compute something now. */
  readonly busyBoards: () => number;
  /** Tokens that clients were given so far. */
  readonly tokens: () => number;
}

/** Writes down how many boards are busy. */
export class LoadMeter {
  readonly #options: LoadMeterOptions;
  #stop: () => void = () => {};
  #looks = 0;
  #busy = 0;
  #tokens: number;

  constructor(options: LoadMeterOptions) {
    this.#options = options;
    this.#tokens = options.tokens();
    this.#again();
  }

  close(): void {
    this.#stop();
  }

  #again(): void {
    this.#stop = this.#options.clock.after(LOOK_MS, () => {
      this.#look();
      this.#again();
    });
  }

  #look(): void {
    const { busyBoards, tokens, history, time = Date.now } = this.#options;
    this.#busy += busyBoards();
    if (++this.#looks < LOOKS) return;
    const all = tokens();
    void history.add({ at: time(), busyBoards: this.#busy / LOOKS, tokens: all - this.#tokens });
    this.#tokens = all;
    this.#looks = 0;
    this.#busy = 0;
  }
}
