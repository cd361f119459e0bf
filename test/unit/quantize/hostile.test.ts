import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPynqLlmError } from '../../../errors/index.js';
import { bytesSource, type GgufEntry } from '../../../gguf/index.js';
import { ImportanceMatrix, mixtureOf, parseTensorRule, planQuantization } from '../../../quantize/index.js';
import { importance, model, quantized } from './models.js';

/** The code that something ends in, or "done". */
async function outcomeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'done';
  } catch (error) {
    if (isPynqLlmError(error)) return error.code;
    throw error;
  }
}

describe('a hostile importance matrix', () => {
  const source = model([['blk.2.ffn_down.weight', [512, 8, 3]]]);
  const made = (bytes: Uint8Array) =>
    outcomeOf(() =>
      quantized(source, 'Q4_K_M', { importance: ImportanceMatrix.read(bytesSource(bytes), 'hostile') }),
    );

  it.each([
    ['counts that are no numbers', { counts: [Number.NaN, 1, 1] }],
    ['infinite counts', { counts: [1, Number.POSITIVE_INFINITY, 1], sums: () => Number.POSITIVE_INFINITY }],
    ['negative counts', { counts: [1, -1, 1] }],
    ['counts of another number', { counts: [1, 1, 1, 1, 1] }],
    ['sums that are no numbers', { sums: () => Number.NaN }],
    ['infinite sums', { sums: () => Number.POSITIVE_INFINITY }],
    ['negative sums', { sums: (sum: number) => -sum }],
  ])('with %s is refused', async (_, change) => {
    expect(await made(importance(3, change))).toBe('QUANTIZE_BAD_IMPORTANCE');
  });

  it.each([
    ['nothing', () => 0],
    ['hardly anything', () => 1e-40],
    ['everything', () => 3e38],
    ['one thing alone', (sum: number) => (sum === 0.5 ? 3e38 : 0)],
  ])('in which %s matters gives a file without infinities, or none', async (_, sums) => {
    expect(await made(importance(3, { sums, counts: [1, 1, 1] }))).toMatch(/^(done|QUANTIZE_NOT_FINITE)$/);
  });

  it('with damaged bytes is refused, or is one of other weights', async () => {
    const whole = importance(3);
    const change = fc.array(fc.tuple(fc.nat(700), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(change, fc.nat(whole.length), fc.boolean(), async (changes, size, isCut) => {
        const bytes = whole.slice(0, isCut ? size : whole.length);
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        const outcome = await outcomeOf(() => ImportanceMatrix.read(bytesSource(bytes), 'damaged'));
        expect(outcome).toMatch(/^(done|GGUF_\w+|QUANTIZE_BAD_IMPORTANCE)$/);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a hostile rule for tensors', () => {
  it.each([
    '',
    '=',
    '=Q4_K',
    'ffn_down',
    'ffn_down=',
    'ffn_down=Q8_K',
    'a=Q9',
    '(=Q4_K',
    `${'a'.repeat(200)}=Q4_K`,
  ])('%j is refused', (rule) => expect(() => parseTensorRule(rule)).toThrow(/QUANTIZE_BAD_RULE/));

  it('whose expression comes to no end is given up, not waited for', async () => {
    const rules = [parseTensorRule(String.raw`^(\w+\.?)+=$=Q4_K`)];
    const name = `blk.0.${'a'.repeat(40)}.weight`;
    const plan = () =>
      planQuantization(bytesSource(model([[name, [256, 4]]])), mixtureOf('Q3_K_S'), { rules });
    expect(plan).toThrow(/QUANTIZE_BAD_RULE.*does not come to an end/);
  });

  it('is read or refused, whatever it is', () => {
    const piece = fc.constantFrom(
      'blk',
      '.',
      '*',
      '+',
      '(',
      ')',
      '[',
      ']',
      '\\',
      '{9}',
      '=',
      'Q4_K',
      'q6_k',
      '?<',
      '\u0000',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          parseTensorRule(pieces.join('')).matches('blk.0.ffn_down.weight');
        } catch (error) {
          expect(error).toMatchObject({ code: 'QUANTIZE_BAD_RULE' });
        }
      }),
    );
  });
});

describe('a hostile source', () => {
  const withWeight = (value: number) => {
    const bytes = model([['blk.0.attn_q.weight', [256, 2], 'F32']]);
    const data = new Float32Array(512).fill(0.01);
    data[77] = value;
    bytes.set(new Uint8Array(data.buffer), bytes.length - 4 * data.length);
    return bytes;
  };

  it.each([
    'Q2_K',
    'Q3_K_S',
    'Q4_K_S',
    'Q5_K_S',
    'Q6_K',
    'Q4_0',
    'Q4_1',
    'Q5_0',
    'Q5_1',
    'Q8_0',
    'IQ4_NL',
    'IQ4_XS',
    'F16',
  ])('with a weight that %s cannot hold makes no file of infinities', async (type) => {
    expect(await outcomeOf(() => quantized(withWeight(1e30), type))).toBe('QUANTIZE_NOT_FINITE');
    expect(await outcomeOf(() => quantized(withWeight(100), type))).toBe('done');
  });

  it('with a weight that BF16 would round to infinity makes none either', async () => {
    expect(await outcomeOf(() => quantized(withWeight(3.4028e38), 'BF16'))).toBe('QUANTIZE_NOT_FINITE');
    expect(await outcomeOf(() => quantized(withWeight(1e38), 'BF16'))).toBe('done');
  });

  it.each<readonly [string, GgufEntry]>([
    ['llama.block_count', { type: 'string', value: 'two' }],
    ['llama.block_count', { type: 'uint32', value: 2 ** 31 }],
    ['llama.block_count', { type: 'float32', value: Number.NaN }],
    ['llama.attention.head_count', { type: 'int32', value: -1 }],
    ['llama.attention.head_count_kv', { type: 'array', of: 'string', value: ['8'] }],
    ['llama.attention.head_count_kv', { type: 'uint32', value: 0 }],
    ['llama.expert_count', { type: 'float32', value: Number.POSITIVE_INFINITY }],
    ['general.file_type', { type: 'string', value: 'F16' }],
    ['general.alignment', { type: 'uint32', value: 64 }],
  ])('with %s = %j is quantised all the same: loading it says what is wrong', async (key, entry) => {
    expect(
      await outcomeOf(() => quantized(model([['blk.0.attn_v.weight', [256, 4]]], [[key, entry]]), 'Q3_K_M')),
    ).toBe('done');
  });
});
