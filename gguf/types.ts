import { PynqLlmError } from '../errors/index.js';

/** Tensor types that this package reads, with GGML's numbers (ggml.h). Q8_K is for activations and never in files. */
export const GgmlType = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  Q8_K: 15,
  IQ2_XXS: 16,
  IQ2_XS: 17,
  IQ3_XXS: 18,
  IQ1_S: 19,
  IQ4_NL: 20,
  IQ3_S: 21,
  IQ2_S: 22,
  IQ4_XS: 23,
  IQ1_M: 29,
  BF16: 30,
  TQ1_0: 34,
  TQ2_0: 35,
  MXFP4: 39,
} as const;
export type GgmlType = (typeof GgmlType)[keyof typeof GgmlType];

/** How values of one type are stored: `blockSize` values together in `blockBytes` bytes. */
export interface BlockFormat {
  readonly name: keyof typeof GgmlType;
  readonly blockSize: number;
  readonly blockBytes: number;
}

export const BLOCK_FORMATS: Readonly<Record<GgmlType, BlockFormat>> = {
  [GgmlType.F32]: { name: 'F32', blockSize: 1, blockBytes: 4 },
  [GgmlType.F16]: { name: 'F16', blockSize: 1, blockBytes: 2 },
  [GgmlType.BF16]: { name: 'BF16', blockSize: 1, blockBytes: 2 },
  [GgmlType.Q4_0]: { name: 'Q4_0', blockSize: 32, blockBytes: 18 },
  [GgmlType.Q4_1]: { name: 'Q4_1', blockSize: 32, blockBytes: 20 },
  [GgmlType.Q5_0]: { name: 'Q5_0', blockSize: 32, blockBytes: 22 },
  [GgmlType.Q5_1]: { name: 'Q5_1', blockSize: 32, blockBytes: 24 },
  [GgmlType.Q8_0]: { name: 'Q8_0', blockSize: 32, blockBytes: 34 },
  [GgmlType.Q2_K]: { name: 'Q2_K', blockSize: 256, blockBytes: 84 },
  [GgmlType.Q3_K]: { name: 'Q3_K', blockSize: 256, blockBytes: 110 },
  [GgmlType.Q4_K]: { name: 'Q4_K', blockSize: 256, blockBytes: 144 },
  [GgmlType.Q5_K]: { name: 'Q5_K', blockSize: 256, blockBytes: 176 },
  [GgmlType.Q6_K]: { name: 'Q6_K', blockSize: 256, blockBytes: 210 },
  [GgmlType.IQ4_NL]: { name: 'IQ4_NL', blockSize: 32, blockBytes: 18 },
  [GgmlType.MXFP4]: { name: 'MXFP4', blockSize: 32, blockBytes: 17 },
  [GgmlType.IQ1_S]: { name: 'IQ1_S', blockSize: 256, blockBytes: 50 },
  [GgmlType.IQ1_M]: { name: 'IQ1_M', blockSize: 256, blockBytes: 56 },
  [GgmlType.IQ2_XXS]: { name: 'IQ2_XXS', blockSize: 256, blockBytes: 66 },
  [GgmlType.IQ2_XS]: { name: 'IQ2_XS', blockSize: 256, blockBytes: 74 },
  [GgmlType.IQ2_S]: { name: 'IQ2_S', blockSize: 256, blockBytes: 82 },
  [GgmlType.IQ3_XXS]: { name: 'IQ3_XXS', blockSize: 256, blockBytes: 98 },
  [GgmlType.IQ3_S]: { name: 'IQ3_S', blockSize: 256, blockBytes: 110 },
  [GgmlType.IQ4_XS]: { name: 'IQ4_XS', blockSize: 256, blockBytes: 136 },
  [GgmlType.TQ1_0]: { name: 'TQ1_0', blockSize: 256, blockBytes: 54 },
  [GgmlType.TQ2_0]: { name: 'TQ2_0', blockSize: 256, blockBytes: 66 },
  [GgmlType.Q8_K]: { name: 'Q8_K', blockSize: 256, blockBytes: 292 },
};

/** Values in a super-block: QK_K of ggml, the unit of the core. */
export const SUPER_BLOCK = 256;

/** Bytes of one Q8_K super-block: what the core takes as input, 73 words. */
export const Q8K_BYTES = 292;

/** The core's numbers of its weight types: Q2_K..Q6_K (manual, "Block layouts"). */
export const CORE_TYPES = [2, 3, 4, 5, 6] as const;
export type CoreType = (typeof CORE_TYPES)[number];

/** 32-bit words of one weight super-block as the core takes it: the GGUF bytes, padded (manual, "Block layouts"). */
export const CORE_WORDS: Readonly<Record<CoreType, number>> = { 2: 21, 3: 28, 4: 36, 5: 44, 6: 53 };

/** Bytes of one weight super-block in a GGUF file, by core type. */
export const CORE_BLOCK_BYTES: Readonly<Record<CoreType, number>> = { 2: 84, 3: 110, 4: 144, 5: 176, 6: 210 };

/** The core's number of a GGML type, or undefined where the core cannot compute it. */
export function coreTypeOf(type: GgmlType): CoreType | undefined {
  switch (type) {
    case GgmlType.Q2_K:
      return 2;
    case GgmlType.Q3_K:
      return 3;
    case GgmlType.Q4_K:
      return 4;
    case GgmlType.Q5_K:
      return 5;
    case GgmlType.Q6_K:
      return 6;
    default:
      return undefined;
  }
}

/** The GGML type of one of the core's numbers. */
export function ggmlTypeOf(coreType: CoreType): GgmlType {
  return CORE_TO_GGML[coreType];
}

const CORE_TO_GGML: Readonly<Record<CoreType, GgmlType>> = {
  2: GgmlType.Q2_K,
  3: GgmlType.Q3_K,
  4: GgmlType.Q4_K,
  5: GgmlType.Q5_K,
  6: GgmlType.Q6_K,
};

/** Whether a number from a file is a type that this package reads. */
export function isGgmlType(value: number): value is GgmlType {
  return Object.hasOwn(BLOCK_FORMATS, value);
}

/**
 * Bytes of a row of `columns` values.
 * @throws PynqLlmError GGUF_ROW_NOT_WHOLE_BLOCKS
 */
export function rowBytes(type: GgmlType, columns: number): number {
  const { name, blockSize, blockBytes } = BLOCK_FORMATS[type];
  if (!Number.isInteger(columns / blockSize) || columns < 0) {
    throw new PynqLlmError(
      'GGUF_ROW_NOT_WHOLE_BLOCKS',
      `A row of ${columns} values is not whole ${name} blocks of ${blockSize}.`,
      {
        context: { columns, type: name, blockSize },
      },
    );
  }
  return (columns / blockSize) * blockBytes;
}
