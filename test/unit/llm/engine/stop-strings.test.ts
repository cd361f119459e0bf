import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from '../../../../llm/sampling/index.js';

/** What is shown of `pieces`, and the stop string that ended it. */
function run(stops: string[], pieces: string[]): { text: string; stop?: string } {
  const matcher = new StopStrings(stops);
  let text = '';
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stop !== undefined) return { text, stop: result.stop };
  }
  return { text: text + matcher.flush() };
}

describe('stop strings', () => {
  it('are found across pieces and not shown', () => {
    expect(run(['</s>'], ['Hi <', '/', 's', '> there'])).toEqual({ text: 'Hi ', stop: '</s>' });
  });

  it('hold back only text that might become one', () => {
    const matcher = new StopStrings(['\n\nUser:']);
    expect(matcher.push('Hello\n')).toEqual({ text: 'Hello' });
    expect(matcher.push('\n')).toEqual({ text: '' });
    expect(matcher.push('World')).toEqual({ text: '\n\nWorld' });
    expect(matcher.flush()).toBe('');
  });

  it('give the text held back at the end', () => {
    expect(run(['stop'], ['a st'])).toEqual({ text: 'a st' });
  });

  it('of the model are not shown, nor the beginning of one at the very end', () => {
    const end = new StopStrings(['bye'], ['<|end|>', 'bye']);
    expect(end.push('a <|e')).toEqual({ text: 'a ' });
    expect(end.push('nd|> b')).toEqual({ text: '', stop: '<|end|>', isEnd: true });
    expect([end.push('more').text, end.flush()]).toEqual(['', '']);
    const asked = new StopStrings(['bye'], ['<|end|>', 'bye']);
    expect(asked.push('good bye')).toEqual({ text: 'good ', stop: 'bye', isEnd: false });
    const cut = new StopStrings(['stop'], ['<|end|>']);
    expect(cut.push('a < b st <|en').text + cut.flush()).toBe('a < b st ');
  });

  it('that overlap themselves are found', () => {
    expect(run(['aab'], ['a', 'a', 'a', 'b'])).toEqual({ text: 'a', stop: 'aab' });
  });

  it('are found at the same place however the text is cut into pieces', () => {
    const letters = fc.constantFrom('a', 'b', 'c');
    const strings = fc.array(fc.string({ unit: letters, minLength: 1, maxLength: 4 }), { maxLength: 4 });
    const pieces = fc.array(fc.string({ unit: letters, maxLength: 5 }), { maxLength: 8 });
    fc.assert(
      fc.property(strings, pieces, (stops, parts) => {
        const text = parts.join('');
        const ends = stops
          .map((each) => text.indexOf(each) + each.length)
          .filter((end, i) => text.includes(stops[i]) && end);
        const result = run(stops, parts);
        expect(result).toEqual(run(stops, [...text]));
        expect(result).toEqual(run(stops, [text]));
        if (result.stop === undefined) expect(result.text).toBe(text);
        else expect((result.text + result.stop).length).toBe(Math.min(...ends));
        expect(text.startsWith(result.text)).toBe(true);
        expect(stops.some((each) => result.text.includes(each))).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([[['']], [['a'.repeat(513)]], [new Array<string>(17).fill('a')]])(
    'that are bad are refused',
    (strings) => {
      expect(() => new StopStrings(strings)).toThrow(
        expect.objectContaining({ code: 'LLM_SAMPLING_PARAMETER' }),
      );
    },
  );
});
