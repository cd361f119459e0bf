import type { ErrorEntry } from './entry.js';

/** Errors of llm/: numbers 4000 to 4999 (4100: maths, 4200: tokenizer, 4300: chat templates, 4400: sampling). */
export const LLM_ERRORS = {
  LLM_ANGLE_RANGE: {
    number: 4100,
    meaning: 'An angle is beyond the range in which sine and cosine are exact.',
    remedy: 'Check the context length and the RoPE frequencies in the model file.',
  },
  LLM_SAMPLING_PARAMETER: {
    number: 4400,
    meaning: 'A sampling parameter is outside its range.',
    remedy: 'Give the parameter a value in the range named.',
  },
} as const satisfies Record<string, ErrorEntry>;
