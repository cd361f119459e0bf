import type { CoreRevision } from '../../board/index.js';

/** Opcode bits (manual, "Instruction stream"). */
export const CONFIG = 0x10;
export const LOAD_INP = 0x01;
export const LOAD_WGT = 0x02;
const COMPUTE = 0x04;
const STORE = 0x08;
export const SOFT_MAX = 0x20;
export const LOADS = LOAD_INP | LOAD_WGT;
export const STORE_JUNK = LOADS | COMPUTE | STORE;

/** The control unit pauses between the steps of an instruction; the load unit does those of LOAD_STEP. */
export const LOAD_STEP = 1;
export const LAST_STEP = 2;

interface Part {
  readonly bit: number;
  readonly name: string;
  /** Operand words in the stream. A revision that is not listed ignores the bit, and takes its operands for opcodes. */
  readonly operands: Readonly<Partial<Record<CoreRevision, number>>>;
  readonly step: number;
}

/** Parts of an instruction, in the order in which they follow the opcode. */
const PARTS: readonly Part[] = [
  { bit: CONFIG, name: 'CONFIG', operands: { v1: 4, v3: 4, v4: 4 }, step: 0 },
  { bit: LOAD_INP, name: 'LOAD_INP', operands: { v1: 1, v3: 1, v4: 1 }, step: LOAD_STEP },
  { bit: LOAD_WGT, name: 'LOAD_WGT', operands: { v1: 2, v3: 6, v4: 6 }, step: LOAD_STEP },
  { bit: COMPUTE, name: 'COMPUTE', operands: { v1: 4, v3: 4, v4: 4 }, step: LAST_STEP },
  { bit: SOFT_MAX, name: 'SOFT_MAX', operands: { v4: 5 }, step: LAST_STEP },
];

/** A part as a revision has it. */
export interface KnownPart {
  readonly bit: number;
  readonly name: string;
  /** Operand words in the stream. */
  readonly operands: number;
  readonly step: number;
}

/** The parts that a revision has, in their order. */
export function partsOf(revision: CoreRevision): readonly KnownPart[] {
  return PARTS.flatMap(({ operands, ...part }) => {
    const count = operands[revision];
    return count === undefined ? [] : [{ ...part, operands: count }];
  });
}
