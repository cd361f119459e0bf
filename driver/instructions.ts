import type { CoreRevision } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { CORE_WORDS, type CoreType } from '../gguf/index.js';

/** Bits of an opcode word; operands follow in this order: CONFIG, LOAD_INP, LOAD_WGT, COMPUTE (manual, "Instruction stream"). */
const OPCODE = { LOAD_INP: 0x01, LOAD_WGT: 0x02, COMPUTE: 0x04, CONFIG: 0x10 } as const;

/** Words of each instruction without its data. */
export const CONFIG_WORDS = 5;
export const CONFIG_AND_INPUTS_WORDS = 6;
export const COMPUTE_WORDS = 5;
export const LOAD_WEIGHTS_WORDS: Readonly<Record<CoreRevision, number>> = { v1: 3, v3: 7, v4: 7 };

/** What CONFIG says of a MatMul. The core stores rows and columns and never uses them. */
export interface MatMulShape {
  /** Super-blocks in a row: K / 256. */
  readonly kb: number;
  /** M. */
  readonly rows: number;
  /** N. */
  readonly columns: number;
  readonly coreType: CoreType;
}

/** CONFIG alone: for a MatMul with inputs that are loaded already. */
export function encodeConfig({ kb, rows, columns, coreType }: MatMulShape): number[] {
  return words('CONFIG', [OPCODE.CONFIG, kb, rows, columns, coreType]);
}

/**
 * CONFIG and LOAD_INP in one instruction; kb * columns Q8_K blocks of 73 words follow it.
 * @param capacity input super-blocks that the core holds
 * @throws PynqLlmError DRIVER_CAPACITY_EXCEEDED
 */
export function encodeConfigAndInputs(shape: MatMulShape, capacity: number): number[] {
  const blocks = shape.kb * shape.columns;
  checkCapacity('input', blocks, capacity);
  const config = encodeConfig(shape);
  config[0] |= OPCODE.LOAD_INP;
  return words('LOAD_INP', [...config, blocks]);
}

/**
 * The head of LOAD_WGT; the weight words follow, on v3 lane A's in the same stream and the others' on their lanes.
 * @param blocks super-blocks of the tile
 * @param capacity weight super-blocks that the core holds
 * @throws PynqLlmError DRIVER_CAPACITY_EXCEEDED
 */
export function encodeLoadWeights(
  revision: CoreRevision,
  coreType: CoreType,
  blocks: number,
  capacity: number,
): number[] {
  checkCapacity('weight', blocks, capacity);
  const head = [OPCODE.LOAD_WGT, blocks, CORE_WORDS[coreType]];
  if (revision === 'v1') return words('LOAD_WGT', head);
  const laneWords = [0, 1, 2, 3].map((lane) => laneBlocks(blocks, lane, 4) * CORE_WORDS[coreType]);
  return words('LOAD_WGT', [...head, ...laneWords]);
}

/** COMPUTE of `rows` x `columns` results; the core ignores both block counts. */
export function encodeCompute(kb: number, rows: number, columns: number): number[] {
  return words('COMPUTE', [OPCODE.COMPUTE, rows * kb, columns * kb, rows, columns]);
}

/** How many of a tile's blocks go to a lane: block i goes to lane i mod lanes. */
export function laneBlocks(blocks: number, lane: number, lanes: number): number {
  return Math.max(0, Math.ceil((blocks - lane) / lanes));
}

function words(instruction: string, values: number[]): number[] {
  const bad = values.find((value) => !Number.isInteger(value) || value < 0 || value > 0xffff_ffff);
  if (bad !== undefined) {
    throw new PynqLlmError('DRIVER_BAD_INSTRUCTION', `${instruction} cannot carry the operand ${bad}.`, {
      context: { instruction, operand: bad },
    });
  }
  return values;
}

function checkCapacity(what: 'input' | 'weight', blocks: number, capacity: number): void {
  if (blocks <= capacity) return;
  throw new PynqLlmError(
    'DRIVER_CAPACITY_EXCEEDED',
    `${blocks} ${what} super-blocks exceed the ${capacity} that the core holds.`,
    {
      context: { what, blocks, capacity },
    },
  );
}
