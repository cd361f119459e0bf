import { PynqLlmError } from '../../errors/index.js';
import type { GgufEntry } from '../write.js';

/** Token types of llama.cpp (llama_token_type). */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
/** SentencePiece writes a space as this character. */
const SPACE = '\u2581';

/**
 * Metadata of a SentencePiece-like vocabulary of `size` tokens: unknown, BOS and EOS, the 256 bytes, printable ASCII,
 * then words of letters with and without a leading space, shorter ones first and with the better scores.
 * @throws PynqLlmError GGUF_BAD_RANGE when `size` leaves no room for the fixed tokens
 */
export function syntheticVocabulary(size: number): [string, GgufEntry][] {
  const fixed = ['<unk>', '<s>', '</s>', ...Array.from({ length: 256 }, (_, byte) => byteToken(byte))];
  if (!Number.isInteger(size) || size < fixed.length) {
    throw new PynqLlmError(
      'GGUF_BAD_RANGE',
      `A vocabulary of ${size} tokens has no room for the ${fixed.length} fixed ones.`,
      {
        context: { size, fixed: fixed.length },
      },
    );
  }
  const tokens = fixed;
  for (const piece of pieces()) {
    if (tokens.length === size) break;
    tokens.push(piece);
  }
  const isNormal = (id: number): boolean => id >= 259;
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: tokens }],
    [
      'tokenizer.ggml.scores',
      { type: 'array', of: 'float32', value: tokens.map((_, id) => (isNormal(id) ? 259 - id : 0)) },
    ],
    [
      'tokenizer.ggml.token_type',
      { type: 'array', of: 'int32', value: tokens.map((_, id) => tokenType(id)) },
    ],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: 1 }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: 2 }],
    ['tokenizer.ggml.unknown_token_id', { type: 'uint32', value: 0 }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: true }],
  ];
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

function tokenType(id: number): number {
  if (id === 0) return UNKNOWN;
  if (id < 3) return CONTROL;
  return id < 259 ? BYTE : NORMAL;
}

/** Pieces without end: SPACE, printable ASCII, then all words by length. */
function* pieces(): Generator<string> {
  yield SPACE;
  for (let code = 33; code < 127; code++) yield String.fromCharCode(code);
  for (const letter of LETTERS) yield SPACE + letter;
  for (let words = [...LETTERS]; ; ) {
    words = words.flatMap((word) => [...LETTERS].map((letter) => word + letter));
    yield* words;
    for (const word of words) yield SPACE + word;
  }
}
