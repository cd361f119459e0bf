import type { Clock } from './clock.js';
import { HEARTBEAT_MS, HEARTBEATS_MISSED } from './limits.js';

/** Notices that the other side is gone although nobody closed the connection. Each side runs one. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  readonly #onSilence: (silentMs: number) => void;
  #heardAt: number;
  #cancel: () => void = () => {};

  /** @param beat sends something that the other side answers @param onSilence told once, after three beats unanswered */
  constructor(clock: Clock, beat: () => void, onSilence: (silentMs: number) => void) {
    this.#clock = clock;
    this.#beat = beat;
    this.#onSilence = onSilence;
    this.#heardAt = clock.now();
    this.#schedule();
  }

  /** Anything came from the other side. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(HEARTBEAT_MS, () => {
      const silentMs = this.#clock.now() - this.#heardAt;
      if (silentMs > HEARTBEAT_MS * HEARTBEATS_MISSED) {
        this.#onSilence(silentMs);
        return;
      }
      this.#beat();
      this.#schedule();
    });
  }
}
