import { describe, expect, it } from 'vitest';
import { harmless, harmlessJson, harmlessLines } from '../../../errors/index.js';
import { checkParams } from '../../../protocol/validate.js';

/** What a terminal acts on, what turns text around, and what nobody sees. */
const HOSTILE = [
  ['an escape sequence', '\u001b[2J'],
  ['a C1 control sequence', '\u009b31m'],
  ['delete', '\u007f'],
  ['an Arabic letter mark', '\u061c'],
  ['a left-to-right mark', '\u200e'],
  ['a right-to-left mark', '\u200f'],
  ['a right-to-left override', '\u202e'],
  ['an isolate', '\u2066'],
  ['the end of an isolate', '\u2069'],
  ['a line separator', '\u2028'],
  ['a paragraph separator', '\u2029'],
  ['half of a surrogate pair', '\ud83d'],
] as const;
const UNSEEN_IN_NAMES = [
  ['a byte order mark', '\ufeff'],
  ['a zero-width space', '\u200b'],
  ['a word joiner', '\u2060'],
  ['a tag', '\u{e0041}'],
  ['a tab', '\t'],
  ['a line break', '\n'],
] as const;

describe('text from outside', () => {
  it.each([...HOSTILE, ...UNSEEN_IN_NAMES])('prints one line without %s', (_, text) => {
    expect(harmless(`a${text}b`)).toMatch(/^a[\x20-\x7e]+b$/);
  });

  it.each(HOSTILE)('prints several lines without %s', (_, text) => {
    expect(harmlessLines(`a\n\t${text}b`)).toMatch(/^a\n\t[\x20-\x7e]+b$/);
  });

  it.each([...HOSTILE, ...UNSEEN_IN_NAMES])('is the same text in JSON that holds no %s', (_, text) => {
    const json = harmlessJson({ name: `a${text}b` });
    expect(json).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(json)).toEqual({ name: `a${text}b` });
  });

  it('stays as it is where all of it is seen', () => {
    const text = 'Grüße, 東京 – حساب 🙂 "a\\b"';
    expect([harmless(text), harmlessLines(text)]).toEqual([text, text]);
    expect(harmlessJson(text)).toBe(JSON.stringify(text));
  });
});

describe("a model's name", () => {
  const take = (name: string) =>
    checkParams('models.uploadBegin', {
      digest: 'a'.repeat(64),
      name,
      bytes: 1,
      chunkDigests: new Uint8Array(32),
    }).name;

  it.each([...HOSTILE, ...UNSEEN_IN_NAMES])('is refused with %s in it', (_, text) => {
    expect(() => take(`a${text}b`)).toThrow(expect.objectContaining({ code: 'PROTOCOL_BAD_PARAMS' }));
  });

  it.each([' a', 'a ', '\u00a0a', ' '])('is refused where white space is at its ends: "%s"', (name) => {
    expect(() => take(name)).toThrow(expect.objectContaining({ code: 'PROTOCOL_BAD_PARAMS' }));
  });

  it.each(['tiny stories.gguf', 'Modèle 東京 🙂', '__proto__', 'constructor', 'ﬁne'])(
    'is taken as it is: "%s"',
    (name) => {
      expect(take(name)).toBe(name);
    },
  );
});
