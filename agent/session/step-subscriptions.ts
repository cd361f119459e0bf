import type { ServerStream, StepEvent } from '../../protocol/index.js';

/** Clients that want to see every step. One that does not read misses steps and is told how many. */
export class StepSubscriptions {
  readonly #streams = new Map<ServerStream, number>();
  readonly #onDemand: (on: boolean) => void;

  /** @param onDemand told when the first subscription comes and the last one goes */
  constructor(onDemand: (on: boolean) => void) {
    this.#onDemand = onDemand;
  }

  add(stream: ServerStream): void {
    if (this.#streams.size === 0) this.#onDemand(true);
    this.#streams.set(stream, 0);
    stream.listen(
      () => {},
      () => {
        this.#streams.delete(stream);
        if (this.#streams.size === 0) this.#onDemand(false);
      },
    );
  }

  publish(step: Omit<StepEvent, 'dropped'>): void {
    for (const [stream, dropped] of this.#streams) {
      const ready = stream.ready;
      if (ready) stream.emit({ ...step, dropped });
      this.#streams.set(stream, ready ? 0 : dropped + 1);
    }
  }
}
