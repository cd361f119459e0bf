import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileSource, type GgufValue, openGguf } from '../../../../gguf/index.js';
import { createTokenizer, type Tokenizer } from '../../../../llm/tokenizer/index.js';

/** Data that lie beside the project on machines that have them; tests that need them are skipped elsewhere. */
const SHARED = path.resolve(process.cwd(), '../shared');

export function sharedPath(...names: string[]): string {
  return path.join(SHARED, ...names);
}

export const hasSharedVocabularies = existsSync(sharedPath('tokenizer'));
export const hasSharedModels = existsSync(sharedPath('models', 'reference.json'));

export function tokenizerOfFile(file: string): Tokenizer {
  using source = fileSource(file);
  return createTokenizer(openGguf(source).metadata);
}

/** The bundled model: SentencePiece, byte tokens at 2048 + byte, `<|start_story|>` 1, `<|end_story|>` 2. */
export function tinyStories(): Tokenizer {
  return tokenizerOfFile(path.resolve(process.cwd(), 'models/tiny-stories-Q3_K_M.gguf'));
}

/** Metadata of a tiny byte-pair vocabulary: all bytes, a few merges, control and user-defined tokens. */
export function bytePairMetadata(
  changes: Record<string, GgufValue | undefined> = {},
): Map<string, GgufValue> {
  const bytes = Array.from({ length: 256 }, (_, i) => i).filter(
    (byte) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad),
  );
  const alphabet = bytes.map((byte) => String.fromCharCode(byte));
  for (let i = 0; alphabet.length < 256; i += 1) alphabet.push(String.fromCharCode(0x100 + i));
  const merged = ['he', 'll', 'llo', 'hello', 'Ġhello'];
  const special = ['<|begin|>', '<|im_end|>', '<|user|>', '<tool>'];
  const tokens = [...alphabet, ...merged, ...special];
  const types = Int32Array.from(tokens, (token) =>
    token === '<tool>' ? 4 : special.includes(token) ? 3 : 1,
  );
  const all: Record<string, GgufValue | undefined> = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': ['l l', 'h e', 'll o', 'he llo', 'Ġ hello'],
    'tokenizer.ggml.bos_token_id': tokens.indexOf('<|begin|>'),
    'tokenizer.ggml.eos_token_id': tokens.indexOf('<|begin|>'),
    ...changes,
  };
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of Object.entries(all)) if (value !== undefined) metadata.set(key, value);
  return metadata;
}

/** The id of a token of {@link bytePairMetadata}. */
export function bytePairId(text: string): number {
  const tokens = bytePairMetadata().get('tokenizer.ggml.tokens');
  return Array.isArray(tokens) ? tokens.indexOf(text) : -1;
}
