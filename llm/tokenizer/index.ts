export { createTokenizer } from './create-tokenizer.js';
export type { DetokenizerStream } from './detokenizer.js';
export { Tokenizer } from './tokenizer.js';
