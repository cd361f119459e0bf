import { PynqLlmError } from '../../errors/index.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { Automaton, type State } from './automaton.js';
import { compileSchema } from './compile-schema.js';
import { TokenMasks } from './token-masks.js';

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
  readonly #tokenizer: Tokenizer;
  readonly #automaton: Automaton;
  readonly #masks: TokenMasks;
  #state: State;

  constructor(tokenizer: Tokenizer, automaton: Automaton, masks: TokenMasks) {
    this.#tokenizer = tokenizer;
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
    if (mask.every((word) => word === 0))
      throw new PynqLlmError(
        'LLM_SCHEMA_VOCABULARY',
        'The vocabulary has no token for what the schema asks for next.',
      );
    for (let id = 0; id < logits.length; id++)
      if ((mask[id >>> 5] & (1 << (id & 31))) === 0) logits[id] = Number.NEGATIVE_INFINITY;
  }

  /** Goes on after a token that `apply` has left. */
  accept(id: number): void {
    if (this.#tokenizer.eosIds.has(id)) return;
    for (const byte of this.#tokenizer.pieceBytes(id)) {
      const next = this.#automaton.step(this.#state, byte);
      if (next === undefined) throw new Error(`token ${id} is not allowed here`);
      this.#state = next;
    }
  }
}

/** Makes the constraints for one vocabulary. */
export class Constraints {
  readonly #tokenizer: Tokenizer;
  #masks: TokenMasks | undefined;
  /** The latest used last. */
  readonly #compiled = new Map<string, Automaton>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED, LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_UNSATISFIABLE */
  create(format: ResponseFormat): Constraint {
    this.#masks ??= new TokenMasks(this.#tokenizer);
    const schema = format.type === 'json-object' ? JSON_OBJECT : format.schema;
    const automaton = this.#compiled.get(schema) ?? new Automaton(compileSchema(schema), this.#masks.longest);
    this.#compiled.delete(schema);
    this.#compiled.set(schema, automaton);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > MAX_COMPILED) this.#compiled.delete(oldest);
    return new Constraint(this.#tokenizer, automaton, this.#masks);
  }
}
