import { PynqLlmError } from '../errors/index.js';
import { Automaton, type State } from './automaton.js';
import { compileSchema } from './compile-schema.js';
import type { Grammar } from './grammar.js';
import type { Pausable } from './pausable.js';
import { sortTokens, TokenMasks } from './token-masks.js';
import type { Vocabulary } from './vocabulary.js';

/** What form a generation's text has to have. */
export type ResponseFormat =
  /** Any JSON object. */
  | { readonly type: 'json-object' }
  /** JSON that satisfies a JSON schema, which is given as text. */
  | { readonly type: 'json-schema'; readonly schema: string };

const JSON_OBJECT = '{"type":"object"}';
/** Compiled schemas that are kept, with the masks of their states: the same client asks for the same form again and again. */
const MAX_COMPILED = 4;

/** Keeps one generation's text within its form. */
export class Constraint {
  readonly #vocabulary: Vocabulary;
  readonly #automaton: Automaton;
  readonly #masks: TokenMasks;
  #state: State;

  constructor(vocabulary: Vocabulary, automaton: Automaton, masks: TokenMasks) {
    this.#vocabulary = vocabulary;
    this.#automaton = automaton;
    this.#masks = masks;
    this.#state = automaton.start;
  }

  /** Whether the text is a whole document that nothing can be added to. */
  get isFinished(): boolean {
    return this.#state.isComplete && this.#state.items.length === 0;
  }

  /**
   * Rules out, with -Infinity, every token that cannot come next.
   * @param logits one a token of the vocabulary
   * @throws PynqLlmError LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_VOCABULARY where no token of the vocabulary can come next
   */
  apply(logits: Float64Array): void {
    const mask = this.#masks.of(this.#automaton, this.#state);
    let isAny = false;
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] !== 0) isAny = true;
      ruleOut(logits, 32 * i, mask[i]);
    }
    if (isAny) return;
    throw new PynqLlmError(
      'LLM_SCHEMA_VOCABULARY',
      'The vocabulary has no token for what the schema asks for next.',
    );
  }

  /** Whether a token may come next: one that `apply` would leave. @throws PynqLlmError LLM_SCHEMA_TOO_LARGE */
  allows(id: number): boolean {
    if (this.#vocabulary.eosIds.has(id)) return this.#state.isComplete;
    if (this.#vocabulary.isHidden(id)) return false;
    this.#automaton.beginWork();
    const bytes = this.#vocabulary.pieceBytes(id);
    let state: State | undefined = this.#state;
    for (const byte of bytes) state = state && this.#automaton.step(state, byte);
    return bytes.length > 0 && state !== undefined;
  }

  /** Goes on after a token that `apply` has left. */
  accept(id: number): void {
    if (this.#vocabulary.eosIds.has(id)) return;
    this.#automaton.beginWork();
    for (const byte of this.#vocabulary.pieceBytes(id)) {
      const next = this.#automaton.step(this.#state, byte);
      if (next === undefined) throw new Error(`token ${id} is not allowed here`);
      this.#state = next;
    }
  }
}

/** Takes from the 32 tokens from `first` on those whose bits are not set. */
function ruleOut(logits: Float64Array, first: number, bits: number): void {
  // Most words are all of one kind: inside a string nearly everything is allowed, between values nearly nothing.
  if (bits === 0) logits.fill(Number.NEGATIVE_INFINITY, first, first + 32);
  else if (bits !== 0xffff_ffff)
    for (let i = 0; i < 32 && first + i < logits.length; i++)
      if ((bits & (1 << i)) === 0) logits[first + i] = Number.NEGATIVE_INFINITY;
}

/** Makes the constraints for one vocabulary. */
export class Constraints {
  readonly #vocabulary: Vocabulary;
  #masks: TokenMasks | undefined;
  #isSorting = false;
  /** The latest used last. */
  readonly #compiled = new Map<string, Automaton>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * Does what `create` would have to do first, with pauses for other work.
   * @param compile makes the grammar of a schema, in time
   * @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED, LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_UNSATISFIABLE
   */
  *prepare(format: ResponseFormat, compile: (schema: string) => Pausable<Grammar>): Pausable<void> {
    // One at a time: what is sorted takes the memory of the vocabulary.
    while (this.#isSorting) yield;
    if (this.#masks === undefined) {
      this.#isSorting = true;
      try {
        this.#masks = new TokenMasks(this.#vocabulary, yield* sortTokens(this.#vocabulary));
      } finally {
        this.#isSorting = false;
      }
    }
    // Without a pause after it, so that no other schema takes its place.
    const schema = schemaOf(format);
    if (!this.#compiled.has(schema))
      this.#keep(schema, new Automaton(yield* compile(schema), this.#masks.longest));
  }

  /** @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED, LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_UNSATISFIABLE */
  create(format: ResponseFormat): Constraint {
    this.#masks ??= new TokenMasks(this.#vocabulary);
    const schema = schemaOf(format);
    const automaton = this.#compiled.get(schema) ?? new Automaton(compileSchema(schema), this.#masks.longest);
    this.#keep(schema, automaton);
    return new Constraint(this.#vocabulary, automaton, this.#masks);
  }

  #keep(schema: string, automaton: Automaton): void {
    this.#compiled.delete(schema);
    this.#compiled.set(schema, automaton);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > MAX_COMPILED) this.#compiled.delete(oldest);
  }
}

function schemaOf(format: ResponseFormat): string {
  return format.type === 'json-object' ? JSON_OBJECT : format.schema;
}
