import type { CoreRevision } from '../../board/index.js';
import {
  type CoreType,
  halfToFloat,
  newSuperBlock,
  SUPER_BLOCK,
  SUPER_BLOCK_CODECS,
} from '../../gguf/index.js';
import type { WeightLoad } from './weight-load.js';

const GROUPS = 16;
/** Byte offsets of d and dmin in a block (manual, "Block layouts"). */
const D_OFFSET: Readonly<Record<CoreType, number>> = { 2: 80, 3: 108, 4: 0, 5: 0, 6: 208 };
const DMIN_OFFSET: Readonly<Partial<Record<CoreType, number>>> = { 2: 82, 4: 2, 5: 2 };
/** v1: types with scales of six bits leave these bits of the scale bytes as they were. */
const STALE_BITS = 0xc0;
/** v1 computes Q4_K and Q5_K with seven bits of scale: the known fault. Their minima have six. */
const SCALE_BITS_V1 = 0x7f;

/**
 * Weight memory as the hardware holds it, unpacked into fields (manual, "State kept between instructions"): a load
 * writes only the fields that its type has, a COMPUTE reads those that its type has. Slow and exact.
 *
 * Planes: plane 0 has bits 0-1 of all types but Q6_K, of which it has bits 4-5; plane 1 bits 2-3 of Q4_K and Q5_K and
 * bits 0-1 of Q6_K; plane 2 bits 2-3 of Q6_K. Q3_K and Q5_K share the high bit. v3 has all planes in the order of the
 * weights; v1 has plane 0 of Q2_K, Q3_K and Q6_K in the order of the block's bytes. Scale bytes: Q2_K as in the block,
 * Q3_K its 6 bits, Q6_K int8, Q4_K and Q5_K 8 scales and then 8 minima.
 */
export class FieldMemory {
  readonly #planes: readonly [Uint8Array, Uint8Array, Uint8Array];
  readonly #highBits: Uint8Array;
  readonly #scaleBytes: Uint8Array;
  readonly #d: Float32Array;
  readonly #dmin: Float32Array;
  readonly #block = newSuperBlock();

  readonly #revision: CoreRevision;

  constructor(revision: CoreRevision, slots: number) {
    this.#revision = revision;
    const plane = (): Uint8Array => new Uint8Array(slots * SUPER_BLOCK);
    this.#planes = [plane(), plane(), plane()];
    this.#highBits = plane();
    this.#scaleBytes = new Uint8Array(slots * GROUPS);
    this.#d = new Float32Array(slots);
    this.#dmin = new Float32Array(slots);
  }

  /** Unpacks loads in the order in which they came. */
  apply(loads: readonly WeightLoad[]): void {
    for (const load of loads)
      for (let slot = 0; slot < load.blocks; slot++) this.#unpack(load.type, load.block(slot), slot);
  }

  /** Weight i of a slot, read as `type`: what multiplies the quant. */
  weight(type: CoreType, slot: number, i: number): number {
    const at = slot * SUPER_BLOCK + i;
    const [, second, third] = this.#planes;
    const first = this.#planes[0][slot * SUPER_BLOCK + this.#place(type, i)];
    if (type === 2) return first;
    if (type === 3) return first + 4 * this.#highBits[at] - 4;
    if (type === 4) return first + 4 * second[at];
    if (type === 5) return first + 4 * second[at] + 16 * this.#highBits[at];
    return second[at] + 4 * third[at] + 16 * first - 32;
  }

  /** Scale of a group of 16 weights. */
  scale(type: CoreType, slot: number, group: number): number {
    const at = slot * GROUPS;
    if (type === 2) return this.#scaleBytes[at + group] & 15;
    if (type === 3) return (this.#scaleBytes[at + group] & 63) - 32;
    if (type === 6) return (this.#scaleBytes[at + group] << 24) >> 24;
    return this.#scaleBytes[at + (group >> 1)] & (this.#revision === 'v1' ? SCALE_BITS_V1 : 63);
  }

  /** What a group's sum of quants is multiplied by; 0 where the type has no minima. */
  minimum(type: CoreType, slot: number, group: number): number {
    const at = slot * GROUPS;
    if (type === 2) return this.#scaleBytes[at + group] >> 4;
    return type === 4 || type === 5 ? this.#scaleBytes[at + 8 + (group >> 1)] & 63 : 0;
  }

  scaleOf(slot: number): number {
    return this.#d[slot];
  }

  minimumOf(slot: number): number {
    return this.#dmin[slot];
  }

  /** Where plane 0 has weight i. */
  #place(type: CoreType, i: number): number {
    if (this.#revision !== 'v1' || type === 4 || type === 5) return i;
    // A byte has weights of four groups of 32.
    return (i & 128) | ((i & 31) << 2) | ((i >> 5) & 3);
  }

  #unpack(type: CoreType, bytes: Uint8Array, slot: number): void {
    SUPER_BLOCK_CODECS[type].unpack(bytes, 0, this.#block);
    const { quants } = this.#block;
    const offset = type === 3 ? 4 : type === 6 ? 32 : 0;
    for (let i = 0; i < SUPER_BLOCK; i++) this.#writeWeight(type, slot * SUPER_BLOCK, i, quants[i] + offset);
    for (let group = 0; group < GROUPS; group++) this.#writeScales(type, slot * GROUPS, group);
    this.#d[slot] = halfAt(bytes, D_OFFSET[type]);
    const dmin = DMIN_OFFSET[type];
    if (dmin !== undefined) this.#dmin[slot] = halfAt(bytes, dmin);
  }

  #writeWeight(type: CoreType, block: number, i: number, value: number): void {
    const [first, second, third] = this.#planes;
    const at = block + i;
    first[block + this.#place(type, i)] = type === 6 ? value >> 4 : value & 3;
    if (type === 4 || type === 5) second[at] = (value >> 2) & 3;
    if (type === 6) {
      second[at] = value & 3;
      third[at] = (value >> 2) & 3;
    }
    if (type === 3) this.#highBits[at] = value >> 2;
    if (type === 5) this.#highBits[at] = value >> 4;
  }

  #writeScales(type: CoreType, at: number, group: number): void {
    const { scales, mins } = this.#block;
    if (type === 2) this.#scaleBytes[at + group] = scales[group] | (mins[group] << 4);
    else if (type === 3) this.#writeSixBits(at + group, scales[group] + 32);
    else if (type === 6) this.#scaleBytes[at + group] = scales[group];
    else if (group % 2 === 0) {
      this.#writeSixBits(at + group / 2, scales[group]);
      this.#writeSixBits(at + 8 + group / 2, mins[group]);
    }
  }

  #writeSixBits(at: number, value: number): void {
    const kept = this.#revision === 'v1' ? this.#scaleBytes[at] & STALE_BITS : 0;
    this.#scaleBytes[at] = value | kept;
  }
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at] | (bytes[at + 1] << 8));
}
