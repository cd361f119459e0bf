import { PynqLlmError } from '../../errors/index.js';
import type { Gather } from './gather.js';
import type { LaneMemory, LaneMessage } from './lane-memory.js';

const NOTHING = new Uint8Array(0);

/** A member's end of a lane in shared memory, on the device's thread. */
export class Lane implements Gather {
  readonly members: number;
  readonly capacity: number;
  readonly #memory: LaneMemory;
  readonly #deadlineMs: number;
  #next = 0;
  #batch = 0;
  /** What has gone through: messages that this member took part in, and bytes that it sent to others. */
  readonly sent = { exchanges: 0, bytes: 0 };

  /** @param deadlineMs how long results of the others may take: more than a step of theirs takes */
  constructor(
    memory: LaneMemory,
    readonly member: number,
    { deadlineMs }: { readonly deadlineMs: number },
  ) {
    this.#memory = memory;
    this.members = memory.members;
    this.capacity = memory.capacity;
    this.#deadlineMs = deadlineMs;
  }

  begin(batch: number): void {
    this.#batch = batch;
  }

  toAll(own: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] {
    const [number, end] = this.#put(own, false);
    this.sent.bytes += own.length * (this.members - 1);
    return sizes.map((size, member) => this.#take(member, number, size, end));
  }

  toFirst(own: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] | undefined {
    if (this.member === 0) {
      const number = this.#next;
      const end = performance.now() + this.#deadlineMs;
      const parts = sizes.map((size, member) => (member === 0 ? own : this.#take(member, number, size, end)));
      // An empty message, for which the others wait: all have read what was before this one, and slots may be used again.
      this.#put(NOTHING, false);
      return parts;
    }
    const [number, end] = this.#put(own, true);
    this.sent.bytes += own.length;
    this.#take(0, number, 0, end);
    return undefined;
  }

  end(): void {
    this.#memory.end();
  }

  /** @returns the message's number, and until when the others' are waited for */
  #put(bytes: Uint8Array, forFirst: boolean): [number: number, end: number] {
    this.#checkRuns();
    if (bytes.length > this.capacity) throw new Error('a message fits into its slot');
    const number = this.#next++;
    this.sent.exchanges++;
    this.#memory.put(this.member, { number, batch: this.#batch, forFirst, bytes });
    return [number, performance.now() + this.#deadlineMs];
  }

  #take(member: number, number: number, size: number, end: number): Uint8Array {
    const { batch, bytes } = this.#wait(member, number, end);
    if (batch === this.#batch && bytes.length === size) return bytes;
    this.#memory.end();
    throw new PynqLlmError(
      'FLEET_TENSOR_OUT_OF_STEP',
      `Member ${member} has sent ${bytes.length} bytes of batch ${batch} where ${size} of batch ${this.#batch} were to come.`,
      { context: { member, batch, bytes: bytes.length, expectedBatch: this.#batch, expectedBytes: size } },
    );
  }

  #wait(member: number, number: number, end: number): LaneMessage {
    for (;;) {
      const { bell } = this.#memory;
      const message = this.#memory.look(member, number);
      if (message !== undefined) return message;
      this.#checkRuns();
      const left = end - performance.now();
      if (left > 0) this.#memory.wait(bell, left);
      else this.#memory.end(member);
    }
  }

  #checkRuns(): void {
    const { ended } = this;
    if (ended !== undefined) throw ended;
  }

  get ended(): PynqLlmError | undefined {
    const { ended } = this.#memory;
    if (ended === undefined) return undefined;
    const { silent } = ended;
    if (silent === undefined)
      return new PynqLlmError('FLEET_TENSOR_ENDED', 'The boards that compute the model together have ended.');
    return new PynqLlmError(
      'FLEET_TENSOR_SILENT',
      `Member ${silent} has sent no results for ${this.#deadlineMs} ms, at batch ${this.#batch}.`,
      { context: { member: silent, deadlineMs: this.#deadlineMs, batch: this.#batch } },
    );
  }
}
