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
/** On v1 the scales of Q4_K and Q5_K leave this bit of the scale bytes as it was: the known fault. */
const STALE_SCALE_BIT = 0x40;

/**
 * Weight memory as the hardware holds it, unpacked into fields (manual, "State kept between instructions"): a load
 * writes only the fields that its type has, a COMPUTE reads those that its type has. Slow and exact.
 *
 * The manual leaves open which types share the high-bit plane; here Q3_K and Q5_K do, and Q6_K has its upper two
 * bits in the third 2-bit plane. Scale bytes: Q2_K as in the block, Q3_K its 6 bits, Q6_K int8, Q4_K and Q5_K
 * 8 scales and then 8 minima.
 */
export class FieldMemory {
  /** Bits 0-1, 2-3 and 4-5 of every weight, and the high bit. */
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
    const [low, middle, top] = this.#planes;
    if (type === 2) return low[at];
    if (type === 3) return low[at] + 4 * this.#highBits[at] - 4;
    if (type === 4) return low[at] + 4 * middle[at];
    if (type === 5) return low[at] + 4 * middle[at] + 16 * this.#highBits[at];
    return low[at] + 4 * middle[at] + 16 * top[at] - 32;
  }

  /** Scale of a group of 16 weights. */
  scale(type: CoreType, slot: number, group: number): number {
    const at = slot * GROUPS;
    if (type === 2) return this.#scaleBytes[at + group] & 15;
    if (type === 3) return (this.#scaleBytes[at + group] & 63) - 32;
    if (type === 6) return (this.#scaleBytes[at + group] << 24) >> 24;
    return this.#scaleBytes[at + (group >> 1)] & this.#sixBits;
  }

  /** What a group's sum of quants is multiplied by; 0 where the type has no minima. */
  minimum(type: CoreType, slot: number, group: number): number {
    const at = slot * GROUPS;
    if (type === 2) return this.#scaleBytes[at + group] >> 4;
    return type === 4 || type === 5 ? this.#scaleBytes[at + 8 + (group >> 1)] & this.#sixBits : 0;
  }

  scaleOf(slot: number): number {
    return this.#d[slot];
  }

  minimumOf(slot: number): number {
    return this.#dmin[slot];
  }

  get #sixBits(): number {
    return this.#revision === 'v1' ? 63 | STALE_SCALE_BIT : 63;
  }

  #unpack(type: CoreType, bytes: Uint8Array, slot: number): void {
    SUPER_BLOCK_CODECS[type].unpack(bytes, 0, this.#block);
    const { quants } = this.#block;
    const offset = type === 3 ? 4 : type === 6 ? 32 : 0;
    for (let i = 0; i < SUPER_BLOCK; i++) this.#writeWeight(type, slot * SUPER_BLOCK + i, quants[i] + offset);
    for (let group = 0; group < GROUPS; group++) this.#writeScales(type, slot * GROUPS, group);
    this.#d[slot] = halfAt(bytes, D_OFFSET[type]);
    const dmin = DMIN_OFFSET[type];
    if (dmin !== undefined) this.#dmin[slot] = halfAt(bytes, dmin);
  }

  #writeWeight(type: CoreType, at: number, value: number): void {
    this.#planes[0][at] = value & 3;
    if (type >= 4) this.#planes[1][at] = (value >> 2) & 3;
    if (type === 6) this.#planes[2][at] = value >> 4;
    if (type === 3) this.#highBits[at] = value >> 2;
    if (type === 5) this.#highBits[at] = value >> 4;
  }

  #writeScales(type: CoreType, at: number, group: number): void {
    const { scales, mins } = this.#block;
    if (type === 2) this.#scaleBytes[at + group] = scales[group] | (mins[group] << 4);
    else if (type === 3) this.#scaleBytes[at + group] = scales[group] + 32;
    else if (type === 6) this.#scaleBytes[at + group] = scales[group];
    else if (group % 2 === 0) {
      this.#writeSixBits(at + group / 2, scales[group]);
      this.#writeSixBits(at + 8 + group / 2, mins[group]);
    }
  }

  #writeSixBits(at: number, value: number): void {
    const kept = this.#revision === 'v1' ? this.#scaleBytes[at] & STALE_SCALE_BIT : 0;
    this.#scaleBytes[at] = value | kept;
  }
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at] | (bytes[at + 1] << 8));
}
