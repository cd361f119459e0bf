import { describe, expect, it } from 'vitest';
import { schemaText } from '../../../protocol/schema-text.js';

const code = (name: string) => expect.objectContaining({ code: name });

function nested(levels: number): object {
  let schema: object = {};
  for (let i = 0; i < levels; i++) schema = { items: schema };
  return schema;
}

describe('a schema that is given as an object', () => {
  it('goes as its text, text as it is', () => {
    expect(schemaText({ type: 'null' })).toBe('{"type":"null"}');
    expect(schemaText(true)).toBe('true');
    expect(schemaText(' {}')).toBe(' {}');
    expect(JSON.parse(schemaText(nested(127)))).toEqual(nested(127));
  });

  it.each([129, 5_000, 100_000])('and nests %i levels deep is refused by a code', (levels) => {
    expect(() => schemaText(nested(levels))).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
  });

  it.each([
    ['properties', Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`p${i}`, {}]))],
    ['values', { enum: Array.from({ length: 262_000 }, () => []) }],
    ['characters in a text', { const: 'x'.repeat(4_000_000) }],
    ['characters in a name', { ['x'.repeat(4_000_000)]: true }],
    ['characters once written', { const: '\u0001'.repeat(100_000) }],
  ])('and has very many %s is refused by a code', (_, schema) => {
    expect(() => schemaText(schema)).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
  });

  it('may be as long as the limit says', () => {
    for (const entry of ['0', '[]', '{}', '""', '{"a":0}']) {
      const count = Math.floor((131_072 - 1) / (entry.length + 1));
      const text = `[${Array(count).fill(entry).join(',')}]`;
      expect(schemaText(JSON.parse(text))).toBe(text);
    }
  });

  it('and holds itself is refused by a code, also where it does so many times', () => {
    const schema: Record<string, unknown> = { type: 'object' };
    schema.properties = { a: schema, b: schema, c: [schema, schema] };
    expect(() => schemaText(schema)).toThrow(code('LLM_SCHEMA_INVALID'));
  });
});
