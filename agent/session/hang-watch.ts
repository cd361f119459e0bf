import type { Clock } from '../../protocol/index.js';
import type { Doorbell } from '../worker-link/doorbell.js';

/** A worker that makes no progress for so long is taken for hung: a step of the slowest board takes seconds. */
const HANG_MS = 120_000;
const WATCH_MS = 1_000;

interface HangWatchOptions {
  readonly doorbell: Pick<Doorbell, 'beat'>;
  readonly clock: Clock;
  /** Silence after which a busy worker is taken for hung. */
  readonly hangMs?: number | undefined;
  /** Called once; then it is not watched any more. */
  readonly onHung: (hangMs: number) => void;
}

/** Looks now and then whether a worker that is busy makes progress. */
export class HangWatch {
  readonly #clock: Clock;
  #lastBeat: number | undefined;
  #lastBeatAt = 0;
  #cancel: () => void;

  constructor({ doorbell, clock, hangMs = HANG_MS, onHung }: HangWatchOptions) {
    this.#clock = clock;
    const everyMs = Math.min(WATCH_MS, hangMs / 4);
    const look = () => {
      const { beat } = doorbell;
      if (beat === undefined || beat !== this.#lastBeat) {
        this.#lastBeat = beat;
        this.#lastBeatAt = clock.now();
      } else if (clock.now() - this.#lastBeatAt > hangMs) {
        onHung(hangMs);
        return;
      }
      this.#cancel = clock.after(everyMs, look);
    };
    this.#cancel = clock.after(everyMs, look);
  }

  /** Milliseconds since the busy worker last made progress; 0 while it has nothing to do. */
  get silentMs(): number {
    return this.#lastBeat === undefined ? 0 : this.#clock.now() - this.#lastBeatAt;
  }

  stop(): void {
    this.#cancel();
  }
}
