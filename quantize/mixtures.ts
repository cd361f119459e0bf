import { PynqLlmError } from '../errors/index.js';
import { GgmlType } from '../gguf/index.js';

/** A mixture of types that llama-quantize knows: the name of a quantised file. */
export interface Mixture {
  readonly name: MixtureName;
  /** `general.file_type` (llama_ftype of llama.h). */
  readonly fileType: number;
  /** What most tensors become. */
  readonly type: GgmlType;
}

const MIXTURES = {
  F32: [0, GgmlType.F32],
  F16: [1, GgmlType.F16],
  Q4_0: [2, GgmlType.Q4_0],
  Q4_1: [3, GgmlType.Q4_1],
  Q8_0: [7, GgmlType.Q8_0],
  Q5_0: [8, GgmlType.Q5_0],
  Q5_1: [9, GgmlType.Q5_1],
  Q2_K: [10, GgmlType.Q2_K],
  Q3_K_S: [11, GgmlType.Q3_K],
  Q3_K_M: [12, GgmlType.Q3_K],
  Q3_K_L: [13, GgmlType.Q3_K],
  Q4_K_S: [14, GgmlType.Q4_K],
  Q4_K_M: [15, GgmlType.Q4_K],
  Q5_K_S: [16, GgmlType.Q5_K],
  Q5_K_M: [17, GgmlType.Q5_K],
  Q6_K: [18, GgmlType.Q6_K],
  Q2_K_S: [21, GgmlType.Q2_K],
  IQ4_NL: [25, GgmlType.IQ4_NL],
  IQ4_XS: [30, GgmlType.IQ4_XS],
  BF16: [32, GgmlType.BF16],
} as const;
export type MixtureName = keyof typeof MIXTURES;

/** As llama-quantize has them. */
const ALIASES: Readonly<Record<string, MixtureName>> = { Q3_K: 'Q3_K_M', Q4_K: 'Q4_K_M', Q5_K: 'Q5_K_M' };

/** Names of all mixtures, aliases aside. */
export const MIXTURE_NAMES = Object.keys(MIXTURES) as readonly MixtureName[];

/**
 * The mixture of a name, in whatever case.
 * @throws PynqLlmError QUANTIZE_UNKNOWN_TYPE
 */
export function mixtureOf(name: string): Mixture {
  const upper = name.toUpperCase();
  const known = ALIASES[upper] ?? MIXTURE_NAMES.find((mixture) => mixture === upper);
  if (known === undefined)
    throw new PynqLlmError(
      'QUANTIZE_UNKNOWN_TYPE',
      `No mixture is called ${JSON.stringify(name)}; there are ${MIXTURE_NAMES.join(', ')}.`,
      { context: { name } },
    );
  const [fileType, type] = MIXTURES[known];
  return { name: known, fileType, type };
}

/** Whether a type's blocks lose something. */
export function isQuantized(type: GgmlType): boolean {
  return type !== GgmlType.F32 && type !== GgmlType.F16 && type !== GgmlType.BF16;
}
