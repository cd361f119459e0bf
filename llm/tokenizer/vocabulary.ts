import { PynqLlmError } from '../../errors/index.js';
import type { Metadata } from '../metadata.js';
import { findEndIds } from './end-tokens.js';
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

/** What holds where a file does not say, by the kind of tokenizer, as in llama.cpp. */
export interface VocabularyDefaults {
  readonly bosId: number;
  readonly eosId: number;
  /** Whether texts begin with BOS. */
  readonly addBos: boolean;
}

/**
 * Reads the vocabulary. What is odd about it and has a default is taken by it and noted.
 *
 * @throws PynqLlmError LLM_TOKENIZER_MISSING, LLM_TOKENIZER_INVALID, LLM_METADATA_INVALID
 */
export function readVocabulary(metadata: Metadata, defaults: VocabularyDefaults): Vocabulary {
  const texts = metadata.texts('tokenizer.ggml.tokens');
  if (texts === undefined || texts.length === 0) {
    throw new PynqLlmError('LLM_TOKENIZER_MISSING', 'tokenizer.ggml.tokens is missing or empty.');
  }
  const types = readTypes(metadata, texts.length);
  const idOf = (name: string, otherwise?: number) =>
    readId(metadata, `tokenizer.ggml.${name}_token_id`, texts, otherwise);
  const [bosId, eosId] = [idOf('bos', defaults.bosId), idOf('eos', defaults.eosId)];
  const endIds = findEndIds(texts, types, (name) => (name === 'eos' ? eosId : idOf(name)));
  const idOfText = new Map<string, number>();
  for (let id = 0; id < texts.length; id += 1) {
    if (isTextual(types[id]) && texts[id] !== '' && !idOfText.has(texts[id])) idOfText.set(texts[id], id);
  }
  const unknownType = types.indexOf(TokenType.unknown);
  return {
    texts,
    types,
    idOfText,
    bosId,
    eosId,
    unknownId: idOf('unknown') ?? (unknownType >= 0 ? unknownType : undefined),
    endIds,
    addBos: readAddition(metadata, 'bos', bosId, defaults.addBos),
    addEos: readAddition(metadata, 'eos', eosId, false),
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
  if (listed === undefined) {
    metadata.assume(key, 'all tokens are ordinary text');
    return new Uint8Array(count).fill(TokenType.normal);
  }
  if (listed.length < count) {
    throw invalidVocabulary(`${key} lists ${listed.length} types for ${count} tokens.`);
  }
  // llama.cpp's "undefined": such tokens are kept out of texts like unused ones.
  return Uint8Array.from({ length: count }, (_, id) =>
    listed[id] >= TokenType.normal && listed[id] <= TokenType.byte ? listed[id] : TokenType.unused,
  );
}

/** The id that a key names; what is no id of a token is as good as absent. */
function readId(
  metadata: Metadata,
  key: string,
  texts: readonly string[],
  otherwise: number | undefined,
): number | undefined {
  const value = metadata.scalar(key);
  const isId = (id: unknown): id is number =>
    typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < texts.length;
  if (isId(value)) return value;
  const usual = isId(otherwise) ? otherwise : undefined;
  if (value !== undefined || otherwise !== undefined)
    metadata.assume(key, usual === undefined ? 'no token' : `${usual}, ${JSON.stringify(texts[usual])}`);
  return usual;
}

/** Whether texts begin with BOS, or end with EOS. */
function readAddition(
  metadata: Metadata,
  name: 'bos' | 'eos',
  id: number | undefined,
  otherwise: boolean,
): boolean {
  const key = `tokenizer.ggml.add_${name}_token`;
  const isAdded = metadata.flag(key, otherwise);
  if (!isAdded || id !== undefined) return isAdded;
  if (metadata.has(key)) metadata.assume(key, 'false, because there is no such token');
  return false;
}
