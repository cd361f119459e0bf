import { type CoreType, GgmlType } from '../types.js';
import { IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS } from './grid-types.js';
import { IQ4_XS, TQ1_0, TQ2_0 } from './other-super-blocks.js';
import { Q2_K } from './q2k.js';
import { Q3_K } from './q3k.js';
import { Q4_K } from './q4k.js';
import { Q5_K } from './q5k.js';
import { Q6_K } from './q6k.js';
import {
  readIQ4_NL,
  readMXFP4,
  readQ4_0,
  readQ4_1,
  readQ5_0,
  readQ5_1,
  readQ8_0,
  type SmallBlockReader,
} from './small-blocks.js';
import type { SuperBlockCodec, SuperBlockReader } from './super-block.js';

/** The K-quant formats by the core's numbers. */
export const SUPER_BLOCK_CODECS: Readonly<Record<CoreType, SuperBlockCodec>> = {
  2: Q2_K,
  3: Q3_K,
  4: Q4_K,
  5: Q5_K,
  6: Q6_K,
};

/** All types of 256 weights a block. */
export const SUPER_BLOCK_READERS: Readonly<Partial<Record<GgmlType, SuperBlockReader>>> = {
  [GgmlType.Q2_K]: Q2_K,
  [GgmlType.Q3_K]: Q3_K,
  [GgmlType.Q4_K]: Q4_K,
  [GgmlType.Q5_K]: Q5_K,
  [GgmlType.Q6_K]: Q6_K,
  [GgmlType.IQ1_S]: IQ1_S,
  [GgmlType.IQ1_M]: IQ1_M,
  [GgmlType.IQ2_XXS]: IQ2_XXS,
  [GgmlType.IQ2_XS]: IQ2_XS,
  [GgmlType.IQ2_S]: IQ2_S,
  [GgmlType.IQ3_XXS]: IQ3_XXS,
  [GgmlType.IQ3_S]: IQ3_S,
  [GgmlType.IQ4_XS]: IQ4_XS,
  [GgmlType.TQ1_0]: TQ1_0,
  [GgmlType.TQ2_0]: TQ2_0,
};

/** All types of 32 weights a block. */
export const SMALL_BLOCK_READERS: Readonly<Partial<Record<GgmlType, SmallBlockReader>>> = {
  [GgmlType.Q4_0]: readQ4_0,
  [GgmlType.Q4_1]: readQ4_1,
  [GgmlType.Q5_0]: readQ5_0,
  [GgmlType.Q5_1]: readQ5_1,
  [GgmlType.Q8_0]: readQ8_0,
  [GgmlType.IQ4_NL]: readIQ4_NL,
  [GgmlType.MXFP4]: readMXFP4,
};
