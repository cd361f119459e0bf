import { type Link, transferMs } from '../../fleet/index.js';
import type { VirtualClock } from './virtual-clock.js';

/** Boards that are linked with each other: each has one port, which carries one message at a time each way. */
export class Ports {
  readonly #out: number[];
  readonly #in: number[];

  constructor(
    readonly clock: VirtualClock,
    readonly link: Link,
    boards: number,
  ) {
    this.#out = new Array<number>(boards).fill(0);
    this.#in = new Array<number>(boards).fill(0);
  }

  /** Sends from now on; `arrived` happens when the last byte is there. */
  send(from: number, to: number, bytes: number, arrived: () => void): void {
    const begin = Math.max(this.clock.now, this.#out[from]!, this.#in[to]!);
    const end = begin + transferMs(this.link, bytes);
    this.#out[from] = end;
    this.#in[to] = end;
    this.clock.set(end + this.link.roundTripMs / 2, arrived);
  }
}
