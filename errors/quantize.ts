import type { ErrorEntry } from './entry.js';

/** Errors of quantize/: numbers 1100 to 1199. */
export const QUANTIZE_ERRORS = {
  QUANTIZE_UNKNOWN_TYPE: {
    number: 1101,
    meaning: 'No mixture of types has this name, or its blocks are not made here.',
    remedy: 'Give one of the names that the error lists, such as Q3_K_S or Q4_K_M.',
  },
  QUANTIZE_TYPE: {
    number: 1102,
    meaning: 'A type of tensor cannot be made from another.',
    remedy: 'Give a type that quantize makes, and a source in F32, F16, BF16 or Q8_0.',
  },
  QUANTIZE_NOT_FINITE: {
    number: 1103,
    meaning: 'A weight is infinite, not a number, or larger than the type can hold.',
    remedy: 'Convert the model again; a weight that overflows F16 may fit BF16.',
  },
  QUANTIZE_SOURCE: {
    number: 1104,
    meaning: 'The source cannot be quantised.',
    remedy:
      'Give a model in F32, F16, BF16 or Q8_0: what is quantised already has lost what another type would need.',
  },
  QUANTIZE_IMPORTANCE: {
    number: 1105,
    meaning: 'The mixture is useless without an importance matrix.',
    remedy: 'Give one with --imatrix (llama-imatrix makes it), or choose Q2_K.',
  },
  QUANTIZE_BAD_IMPORTANCE: {
    number: 1106,
    meaning: 'The importance matrix is damaged, or of another model.',
    remedy:
      'Make it with llama-imatrix from this model; files in its old .dat format are converted by its --in-file and -o.',
  },
  QUANTIZE_BAD_RULE: {
    number: 1107,
    meaning: 'A rule for the types of tensors cannot be read.',
    remedy:
      "Give PATTERN=TYPE, such as 'blk\\.0\\.ffn_down=Q5_K': a regular expression and a type of tensor.",
  },
  QUANTIZE_BUDGET: {
    number: 1109,
    meaning: 'The model does not fit the budget, whatever the types.',
    remedy: 'Give more memory (--budget), a smaller model, or several boards.',
  },
  QUANTIZE_OUTPUT: {
    number: 1108,
    meaning: 'The quantised file cannot be written there.',
    remedy: 'Give another path, or --force to replace a file; the source itself is never replaced.',
  },
} as const satisfies Record<string, ErrorEntry>;
