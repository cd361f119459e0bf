import { PynqLlmError } from '../errors/index.js';
import type { GgufFile } from '../gguf/index.js';

/** Typed reading of a model's metadata: every value is checked before it is used. */
export class Metadata {
  readonly #values: GgufFile['metadata'];
  readonly #assumed: Set<string>;

  /** @param assumed gets what is taken for granted because a key is missing or odd, for people */
  constructor(values: GgufFile['metadata'], assumed = new Set<string>()) {
    this.#values = values;
    this.#assumed = assumed;
  }

  /** Notes what is taken for granted where a key is missing, or says what cannot be. */
  assume(key: string, what: string): void {
    const value = this.#values.get(key);
    const state =
      value === undefined ? 'is missing' : `is ${typeof value === 'object' ? 'a list' : shorten(value)}`;
    this.#assumed.add(`${key} ${state}; assumed: ${what}`);
  }

  /** One value as it is; undefined where the key is missing or lists several. */
  scalar(key: string): number | bigint | boolean | string | undefined {
    const value = this.#values.get(key);
    return typeof value === 'object' ? undefined : value;
  }

  /** A text that a model can do without; anything else is as good as absent. */
  optionalText(key: string, otherwise: string): string {
    const value = this.#values.get(key);
    if (typeof value === 'string') return value;
    if (value !== undefined) this.assume(key, otherwise === '' ? 'none' : JSON.stringify(otherwise));
    return otherwise;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** @throws PynqLlmError LLM_METADATA_MISSING (without `otherwise`), LLM_METADATA_INVALID */
  text(key: string, otherwise?: string): string {
    const value = this.#values.get(key) ?? otherwise;
    if (value === undefined) throw missing(key);
    if (typeof value !== 'string') throw this.invalid(key, 'it is not a string');
    return value;
  }

  /** A whole number from `least` to `most`. @throws PynqLlmError LLM_METADATA_MISSING, LLM_METADATA_INVALID */
  integer(key: string, least: number, most: number, otherwise?: number): number {
    const value = this.number(key, least, most, otherwise);
    if (!Number.isInteger(value)) throw this.invalid(key, `${value} is not a whole number`);
    return value;
  }

  /** The same of a key that may list a number for each layer, where they have to be equal. */
  integerOfLayers(key: string, least: number, most: number, otherwise?: number): number {
    const listed = this.#values.get(key);
    if (!ArrayBuffer.isView(listed)) return this.integer(key, least, most, otherwise);
    const [first = Number.NaN] = listed;
    if (!Array.from<number | bigint>(listed).every((one) => one === first))
      throw this.invalid(key, 'its layers differ, and only models of equal layers are computed');
    return new Metadata(new Map([[key, first]]), this.#assumed).integer(key, least, most);
  }

  /** A list of whole numbers from `least` to `most`, one a layer; undefined where the key is no list. @throws PynqLlmError LLM_METADATA_INVALID */
  integersOfLayers(key: string, layers: number, least: number, most: number): readonly number[] | undefined {
    const listed = this.#values.get(key);
    if (!ArrayBuffer.isView(listed)) return undefined;
    if (listed.length !== layers)
      throw this.invalid(key, `it lists ${listed.length} values for ${layers} layers`);
    const each = Array.from<number | bigint, number>(listed, Number);
    const wrong = each.find((one) => !(Number.isInteger(one) && one >= least && one <= most));
    if (wrong !== undefined) throw this.invalid(key, `${wrong} is no whole number from ${least} to ${most}`);
    return each;
  }

  /** A number from `least` to `most`. @throws PynqLlmError LLM_METADATA_MISSING, LLM_METADATA_INVALID */
  number(key: string, least: number, most: number, otherwise?: number): number {
    const value = this.#values.get(key) ?? otherwise;
    if (value === undefined) throw missing(key);
    if (typeof value !== 'number' && typeof value !== 'bigint')
      throw this.invalid(key, 'it is not one number');
    const number = Number(value);
    if (!(number >= least && number <= most))
      throw this.invalid(key, `${number} is not from ${least} to ${most}`);
    return number;
  }

  /** Converters write flags as numbers too; what is neither yes nor no is as good as absent. */
  flag(key: string, otherwise: boolean): boolean {
    const value = this.#values.get(key);
    if (value === undefined || typeof value === 'boolean') return value ?? otherwise;
    const isYes = [1, '1', 'true'].includes(value as number | string);
    const isNo = [0, '0', 'false'].includes(value as number | string);
    const flag = isYes || (otherwise && !isNo);
    this.assume(key, String(flag));
    return flag;
  }

  /** An array of booleans, as such or as numbers; undefined where the key is no array. @throws PynqLlmError LLM_METADATA_INVALID */
  flags(key: string): readonly boolean[] | undefined {
    const value = this.#values.get(key);
    if (ArrayBuffer.isView(value)) {
      const numbers = Array.from<number | bigint>(value).map(Number);
      if (numbers.every((one) => one === 0 || one === 1)) return numbers.map((one) => one === 1);
      throw this.invalid(key, 'a flag is neither 0 nor 1');
    }
    if (!Array.isArray(value)) return undefined;
    if (!value.every((item): item is boolean => typeof item === 'boolean'))
      throw this.invalid(key, 'it is not an array of booleans');
    return value;
  }

  /** An array of strings; undefined where the key is missing. @throws PynqLlmError LLM_METADATA_INVALID */
  texts(key: string): readonly string[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item): item is string => typeof item === 'string')) {
      throw this.invalid(key, 'it is not an array of strings');
    }
    return value;
  }

  /** An array of numbers; undefined where the key is missing. @throws PynqLlmError LLM_METADATA_INVALID */
  numbers(key: string): ArrayLike<number> | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (ArrayBuffer.isView(value)) return value;
    throw this.invalid(key, 'it is not an array of numbers of up to 32 bits');
  }

  invalid(key: string, why: string): PynqLlmError {
    return new PynqLlmError('LLM_METADATA_INVALID', `The metadata key ${key} cannot be used: ${why}.`, {
      context: { key },
    });
  }
}

function shorten(value: number | bigint | boolean | string): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

function missing(key: string): PynqLlmError {
  return new PynqLlmError('LLM_METADATA_MISSING', `The metadata key ${key} is missing.`, {
    context: { key },
  });
}
