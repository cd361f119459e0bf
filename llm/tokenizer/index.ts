export { createTokenizer } from './create-tokenizer.js';
export type { DetokenizerStream } from './detokenizer.js';
export { type EncodeOptions, Tokenizer } from './tokenizer.js';
