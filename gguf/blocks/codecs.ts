import type { CoreType } from '../types.js';
import { Q2_K } from './q2k.js';
import { Q3_K } from './q3k.js';
import { Q4_K } from './q4k.js';
import { Q5_K } from './q5k.js';
import { Q6_K } from './q6k.js';
import type { SuperBlockCodec } from './super-block.js';

/** The K-quant formats by the core's numbers. */
export const SUPER_BLOCK_CODECS: Readonly<Record<CoreType, SuperBlockCodec>> = {
  2: Q2_K,
  3: Q3_K,
  4: Q4_K,
  5: Q5_K,
  6: Q6_K,
};
