import type { Clock } from './clock.js';
import { HEARTBEAT_MS, HEARTBEATS_MISSED } from './limits.js';

/** Notices that the other side is gone although nobody closed the connection. Each side runs one. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  readonly #onSilence: (silentMs: number) => void;
  #heardAt: number;
  #unanswered = 0;
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
    this.#unanswered = 0;
  }

  stop(): void {
    this.#cancel();
  }

  /**
   * Beats are counted, not time: a process that slept or was busy itself heard nothing meanwhile, but has not asked
   * either.
   */
  #schedule(): void {
    this.#cancel = this.#clock.after(HEARTBEAT_MS, () => {
      if (this.#unanswered >= HEARTBEATS_MISSED) {
        this.#onSilence(this.#clock.now() - this.#heardAt);
        return;
      }
      this.#unanswered++;
      this.#beat();
      this.#schedule();
    });
  }
}
