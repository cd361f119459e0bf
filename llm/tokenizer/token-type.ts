/** Types of tokens, with the numbers of `tokenizer.ggml.token_type` (GGUF specification, llama.cpp's llama_token_type). */
export const TokenType = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;
