import { PynqLlmError } from '../../errors/index.js';
import type { Metadata } from '../metadata.js';
import { END_TOKEN_KEYS, END_TOKEN_TEXTS } from './end-tokens.js';
import { TokenType } from './token-type.js';

/** A model's tokens as its metadata list them, checked. Ids index `texts` and `types`. */
export interface Vocabulary {
  readonly texts: readonly string[];
  readonly types: Uint8Array;
  /** Ids that text may turn into: control, unknown and byte tokens are not among them. Of equal texts the lowest id. */
  readonly idOfText: ReadonlyMap<string, number>;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unknownId: number | undefined;
  /** Ids after which a generation ends. */
  readonly endIds: ReadonlySet<number>;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

/**
 * Reads the vocabulary.
 *
 * @param addBosByDefault whether texts begin with BOS where the file does not say
 * @throws PynqLlmError LLM_TOKENIZER_MISSING, LLM_TOKENIZER_INVALID, LLM_METADATA_INVALID
 */
export function readVocabulary(metadata: Metadata, addBosByDefault: boolean): Vocabulary {
  const texts = metadata.texts('tokenizer.ggml.tokens');
  if (texts === undefined || texts.length === 0) {
    throw new PynqLlmError('LLM_TOKENIZER_MISSING', 'tokenizer.ggml.tokens is missing or empty.');
  }
  const types = readTypes(metadata, texts.length);
  const endIds = readEndIds(metadata, texts, types);
  const idOfText = new Map<string, number>();
  for (let id = 0; id < texts.length; id += 1) {
    if (isTextual(types[id]) && texts[id] !== '' && !idOfText.has(texts[id])) idOfText.set(texts[id], id);
  }
  const bosId = readId(metadata, 'tokenizer.ggml.bos_token_id', texts.length);
  const eosId = readId(metadata, 'tokenizer.ggml.eos_token_id', texts.length);
  const unknownType = types.indexOf(TokenType.unknown);
  return {
    texts,
    types,
    idOfText,
    bosId,
    eosId,
    unknownId:
      readId(metadata, 'tokenizer.ggml.unknown_token_id', texts.length) ??
      (unknownType >= 0 ? unknownType : undefined),
    endIds,
    addBos: readAddition(
      metadata,
      'tokenizer.ggml.add_bos_token',
      bosId,
      addBosByDefault && bosId !== undefined,
    ),
    addEos: readAddition(metadata, 'tokenizer.ggml.add_eos_token', eosId, false),
  };
}

/** An error of a vocabulary whose parts contradict each other. */
export function invalidVocabulary(what: string): PynqLlmError {
  return new PynqLlmError('LLM_TOKENIZER_INVALID', what);
}

/** Control, unknown and byte tokens have names, not texts: text that reads like a name must not become the token. */
function isTextual(type: number): boolean {
  return type === TokenType.normal || type === TokenType.userDefined || type === TokenType.unused;
}

function readTypes(metadata: Metadata, count: number): Uint8Array {
  const key = 'tokenizer.ggml.token_type';
  const listed = metadata.numbers(key);
  if (listed === undefined) return new Uint8Array(count).fill(TokenType.normal);
  if (listed.length !== count) {
    throw invalidVocabulary(`${key} lists ${listed.length} types for ${count} tokens.`);
  }
  return Uint8Array.from(listed, (type, id) => {
    if (type >= TokenType.normal && type <= TokenType.byte) return type;
    // llama.cpp's "undefined": such tokens are kept out of texts like unused ones.
    if (type === 0) return TokenType.unused;
    throw invalidVocabulary(`${key} gives token ${id} the type ${type}; there are 0 to 6.`);
  });
}

/** llama.cpp's "none", -1 in 32 bits. */
const NO_TOKEN = 0xffff_ffff;

function readId(metadata: Metadata, key: string, count: number): number | undefined {
  if (!metadata.has(key)) return undefined;
  const id = metadata.integer(key, 0, NO_TOKEN);
  return id === NO_TOKEN ? undefined : metadata.integer(key, 0, count - 1);
}

/** Whether texts begin with BOS, or end with EOS. */
function readAddition(metadata: Metadata, key: string, id: number | undefined, otherwise: boolean): boolean {
  const isAdded = metadata.flag(key, otherwise);
  if (isAdded && id === undefined)
    throw invalidVocabulary(`${key} is true, but the file does not name the token.`);
  return isAdded;
}

/** The ids that end a generation; those known by their text become control tokens in `types`. */
function readEndIds(metadata: Metadata, texts: readonly string[], types: Uint8Array): Set<number> {
  const endIds = new Set<number>();
  for (const key of END_TOKEN_KEYS) {
    const id = readId(metadata, key, texts.length);
    if (id !== undefined) endIds.add(id);
  }
  const names = new Set(END_TOKEN_TEXTS);
  for (let id = 0; id < texts.length; id += 1) {
    if (!names.has(texts[id])) continue;
    endIds.add(id);
    types[id] = TokenType.control;
  }
  return endIds;
}
