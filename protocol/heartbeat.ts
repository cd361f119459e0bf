import type { Clock } from './clock.js';
import { HEARTBEAT_MS, HEARTBEATS_MISSED } from './limits.js';

/** A frame that takes longer than three beats to arrive is no silence, but a byte now and then is. */
const LEAST_RECEIVED_BYTES = 1_024;

/** What a heartbeat has to do with its connection. */
export interface Pulse {
  /** Sends something that the other side answers. */
  readonly beat: () => void;
  /** Told once, after three beats unanswered. */
  readonly onSilence: (silentMs: number) => void;
  /** Bytes that have come from the other side so far, those of a frame that is not complete included. */
  readonly received: () => number;
}

/** Notices that the other side is gone although nobody closed the connection. Each side runs one. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #pulse: Pulse;
  #heardAt: number;
  #received = 0;
  #unanswered = 0;
  #cancel: () => void = () => {};

  constructor(clock: Clock, pulse: Pulse) {
    this.#clock = clock;
    this.#pulse = pulse;
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
      const received = this.#pulse.received();
      if (received - this.#received >= LEAST_RECEIVED_BYTES) this.heard();
      this.#received = received;
      if (this.#unanswered >= HEARTBEATS_MISSED) {
        this.#pulse.onSilence(this.#clock.now() - this.#heardAt);
        return;
      }
      this.#unanswered++;
      this.#pulse.beat();
      this.#schedule();
    });
  }
}
