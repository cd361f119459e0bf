import { expect } from 'vitest';
import { Automaton, type State } from '../../../constraint/automaton.js';
import { compileSchema } from '../../../constraint/compile-schema.js';
import { Random } from '../../../maths/index.js';
import { satisfies } from './json-schema-validator.js';

const HORIZON = 16;

export function automatonOf(schema: unknown): Automaton {
  return new Automaton(compileSchema(JSON.stringify(schema)), HORIZON);
}

/** `whole` for a document, `part` for the beginning of one, `wrong` for what cannot become one. */
export function judge(schema: unknown, text: string | Uint8Array): 'whole' | 'part' | 'wrong' {
  return judgeWith(automatonOf(schema), text);
}

function judgeWith(automaton: Automaton, text: string | Uint8Array): 'whole' | 'part' | 'wrong' {
  let state: State | undefined = automaton.start;
  for (const byte of Buffer.from(text)) {
    automaton.beginWork();
    state = automaton.step(state, byte);
    if (state === undefined) return 'wrong';
  }
  return state.isComplete ? 'whole' : 'part';
}

export function expectAll(schema: unknown, whole: readonly string[], wrong: readonly string[]): void {
  const automaton = automatonOf(schema);
  for (const text of whole) expect(`${text}: ${judgeWith(automaton, text)}`).toBe(`${text}: whole`);
  for (const text of wrong) expect(judgeWith(automaton, text), text).not.toBe('whole');
}

/** Bytes drawn from what may come, quotes and brackets that close more often, until a document is whole. */
export function walk(automaton: Automaton, random: Random, most: number): Buffer | undefined {
  let state = automaton.start;
  const bytes: number[] = [];
  while (bytes.length < most) {
    automaton.beginWork();
    if (state.isComplete && (state.items.length === 0 || random.nextDouble() < 0.5))
      return Buffer.from(bytes);
    const ways: { byte: number; next: State }[] = [];
    for (let byte = 0; byte < 256; byte++) {
      const next = automaton.step(state, byte);
      const weight = '"]}'.includes(String.fromCharCode(byte)) ? 30 : 1;
      if (next !== undefined) for (let i = 0; i < weight; i++) ways.push({ byte, next });
    }
    expect(ways, Buffer.from(bytes).toString()).not.toHaveLength(0);
    const { byte, next } = ways[Math.floor(random.nextDouble() * ways.length)];
    bytes.push(byte);
    state = next;
  }
  return undefined;
}

/** Documents of random bytes, among those that may come; the independent validator judges each. */
export function expectDocuments(
  schema: unknown,
  isValid: (value: unknown) => boolean = () => true,
  count = 12,
): void {
  const automaton = automatonOf(schema);
  const random = new Random(11);
  const texts = Array.from({ length: count }, () => walk(automaton, random, 3_000));
  const documents = texts.filter((text) => text !== undefined);
  expect(documents.length).toBeGreaterThan(count / 3);
  for (const text of documents) {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
    expect(satisfies(schema, value), text.toString()).toBe(true);
    expect(isValid(value), text.toString()).toBe(true);
  }
}
