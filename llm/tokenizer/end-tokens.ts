/**
 * Texts of tokens that end a turn or a document. Many files name only one end token by id, while the model was trained to
 * end with another, so that llama.cpp knows these by their text and takes them for control tokens whatever the file says.
 */
export const END_TOKEN_TEXTS: readonly string[] = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|end_of_text|>',
  '<|endoftext|>',
  '<end_of_turn>',
  '<EOT>',
  '_<EOT>',
  '<｜end▁of▁sentence｜>',
  '<|fim_pad|>',
  '<|repo_name|>',
  '<|file_sep|>',
];

/** Metadata keys of ids that end a generation. */
export const END_TOKEN_KEYS: readonly string[] = [
  'tokenizer.ggml.eos_token_id',
  'tokenizer.ggml.eot_token_id',
  'tokenizer.ggml.eom_token_id',
];
