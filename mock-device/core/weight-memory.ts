import type { CoreRevision } from '../../board/index.js';
import type { CoreType } from '../../gguf/index.js';
import { FieldMemory } from './field-memory.js';
import type { WeightLoad } from './weight-load.js';

/** Loads that are kept as they came; of more, the oldest is unpacked. */
const MAX_PENDING = 64;

/**
 * What the core holds of weights (manual, "State kept between instructions"). The hardware unpacks each load into
 * fields. Here a load stays packed, in DMA memory as long as the device owns it, because nearly every COMPUTE
 * uses the blocks of the last load with the type they were loaded with; only other uses unpack the history of loads.
 */
export class WeightMemory {
  /** Oldest first; to be unpacked in this order, after those already in `unpacked`. */
  readonly #pending: WeightLoad[] = [];
  #last: WeightLoad | undefined;
  #unpacked: FieldMemory | undefined;
  /** v1: an earlier load may have left scale bits that Q4_K and Q5_K do not write. */
  #scaleBitsMayBeStale = false;
  readonly #revision: CoreRevision;
  readonly #capacity: number;

  constructor(revision: CoreRevision, capacity: number) {
    this.#revision = revision;
    this.#capacity = capacity;
  }

  load(load: WeightLoad): void {
    // A later load of the same type writes the same fields of the same slots, so what it covers is gone.
    let kept = 0;
    for (const earlier of this.#pending)
      if (earlier.type !== load.type || earlier.blocks > load.blocks) this.#pending[kept++] = earlier;
    // Setting the length gives the array's memory back, and it is needed again at once.
    while (this.#pending.length > kept) this.#pending.pop();
    this.#pending.push(load);
    this.#last = load;
    if (this.#revision === 'v1' && (load.type === 2 || load.type === 6)) this.#scaleBitsMayBeStale = true;
    if (this.#pending.length > MAX_PENDING) this.#fieldMemory().apply(this.#pending.splice(0, 1));
  }

  /** The load that alone decides what a COMPUTE over the first `blocks` slots gives, if there is one. */
  only(type: CoreType, blocks: number): WeightLoad | undefined {
    const last = this.#last;
    if (last === undefined || last.type !== type || blocks > last.blocks) return undefined;
    return this.#scaleBitsMayBeStale && (type === 4 || type === 5) ? undefined : last;
  }

  /** All fields as the hardware would hold them. */
  fields(): FieldMemory {
    const fields = this.#fieldMemory();
    fields.apply(this.#pending.splice(0));
    return fields;
  }

  /** That part of the kernels' address space is about to change. */
  keep(start: number, end: number): void {
    // The last load is among them, unless all were unpacked.
    if (this.#pending.length === 0) this.#last?.keep(start, end);
    for (const load of this.#pending) load.keep(start, end);
  }

  /** A load begins that uses a place which an earlier one has used. */
  leave(place: number): void {
    for (const load of this.#pending) load.leave(place);
  }

  #fieldMemory(): FieldMemory {
    this.#unpacked ??= new FieldMemory(this.#revision, this.#capacity);
    return this.#unpacked;
  }
}
