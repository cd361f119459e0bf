import { describe, expect, it } from 'vitest';
import { type Difference, TokenReader } from '../../../fleet/token-reader.js';
import { Random } from '../../../maths/index.js';
import type { DoneEvent, TokenEvent } from '../../../protocol/index.js';

function token(index: number, change: Partial<TokenEvent> = {}): TokenEvent {
  const top: TokenEvent['top'] = [
    [100 + index, -0.1],
    [7, -3],
  ];
  return {
    type: 'token',
    index,
    id: 100 + index,
    text: `t${index}`,
    logprob: -index / 7 - 0.1,
    top,
    ...change,
  };
}

function done(tokens: number, change: Partial<DoneEvent> = {}): DoneEvent {
  const timing = { queuedMs: 1, prefillMs: 2, decodeMs: 3, promptTokens: 4, generatedTokens: tokens };
  const counters = {
    registerReads: 0,
    registerWrites: 0,
    dmaTransfers: 0,
    dmaBytes: 0,
    coreCycles: 0,
    coreMultiplyAdds: 0,
    cpuMultiplyAdds: 0,
  };
  return { type: 'done', reason: 'max-tokens', text: '', tokens, timing, counters, ...change };
}

/** Numbers of the tokens that a reader hands on, one list for each that it takes. */
const numbers = (reader: TokenReader, indices: readonly number[]) =>
  indices.map((index) => reader.take(token(index), 'a').fresh.map((one) => one.index));

describe('a reader of tokens', () => {
  it('hands on each once and in order, however they come', () => {
    expect(numbers(new TokenReader(), [0, 1, 1, 3, 4, 3, 2, 0, 5])).toEqual([
      [0],
      [1],
      [],
      [],
      [],
      [],
      [2, 3, 4],
      [],
      [5],
    ]);
  });

  it('begins after the tokens that the client has', () => {
    const reader = new TokenReader([100, 101]);
    expect(numbers(reader, [3, 0, 2])).toEqual([[], [], [2, 3]]);
    expect(reader.next).toBe(4);
    expect(reader.ids).toEqual([100, 101, 102, 103]);
    expect(reader.take(token(1, { id: 5 }), 'a').difference).toEqual({
      index: 1,
      field: 'id',
      first: { source: undefined, value: 101 },
      second: { source: 'a', value: 5 },
    });
  });

  it('keeps no more than a window ahead, and compares what is older than one by its id', () => {
    const reader = new TokenReader([], 4);
    expect(reader.take(token(3), 'a')).toEqual({ fresh: [] });
    expect(reader.take(token(4), 'a')).toEqual({ fresh: [], isBeyond: true });
    numbers(reader, [0, 1, 2, 4, 5]);
    expect(reader.take(token(2, { text: 'x' }), 'b').difference).toMatchObject({ index: 2, field: 'text' });
    expect(reader.take(token(1, { text: 'x' }), 'b')).toEqual({ fresh: [] });
    expect(reader.take(token(1, { id: 1 }), 'b').difference).toMatchObject({ index: 1, field: 'id' });
  });

  it('hands on the end after its last token, and again where it is said again', () => {
    const reader = new TokenReader();
    reader.take(token(0), 'a');
    expect(reader.takeEnd(done(2), 'a')).toEqual({ fresh: [], end: undefined });
    expect(reader.isOver).toBe(false);
    expect(reader.take(token(1), 'b')).toEqual({ fresh: [token(1)], end: done(2) });
    expect(reader.isOver).toBe(true);
    const later = done(2, { timing: { ...done(2).timing, decodeMs: 99 } });
    expect(reader.takeEnd(later, 'b')).toEqual({ fresh: [], end: done(2) });
    expect(reader.take(token(1), 'c')).toEqual({ fresh: [] });
  });

  it('takes an end that has no tokens before it: of beam search, and of what had ended', () => {
    const beams = done(9, { beams: [] });
    expect(new TokenReader().takeEnd(beams, 'a')).toEqual({ fresh: [], end: beams });
    expect(new TokenReader([100]).takeEnd(done(1), 'a')).toEqual({ fresh: [], end: done(1) });
  });

  it('compares no end of a generation that was cancelled', () => {
    const reader = new TokenReader();
    numbers(reader, [0, 1]);
    expect(reader.takeEnd(done(1, { reason: 'cancelled' }), 'a')).toEqual({ fresh: [] });
    expect(reader.isOver).toBe(false);
  });
});

describe('what comes twice and differs', () => {
  it.each<[Difference['field'], Partial<TokenEvent>]>([
    ['id', { id: 1 }],
    ['logprob', { logprob: -1e-300 }],
    ['logprob', { logprob: Number.NaN }],
    ['text', { text: '' }],
    ['top', { top: undefined }],
    ['top', { top: [[102, -0.1]] }],
    [
      'top',
      {
        top: [
          [102, -0.1],
          [7, -3.0000000000000004],
        ],
      },
    ],
  ])('is told by its %s, also where the first came early', (field, change) => {
    const reader = new TokenReader();
    reader.take(token(2), 'a');
    const taken = reader.take(token(2, change), 'b');
    expect(taken).toMatchObject({ fresh: [], difference: { index: 2, field, first: { source: 'a' } } });
    expect(taken.difference?.second).toEqual({ source: 'b', value: change[field as keyof TokenEvent] });
    // What came first is handed on.
    reader.take(token(0), 'b');
    expect(reader.take(token(1), 'b').fresh).toEqual([token(1), token(2)]);
  });

  it('is none where a log-probability is no number both times', () => {
    const reader = new TokenReader();
    reader.take(token(0, { logprob: Number.NaN }), 'a');
    expect(reader.take(token(0, { logprob: Number.NaN }), 'b')).toEqual({ fresh: [] });
  });

  it.each<[Difference['field'], Partial<DoneEvent>]>([
    ['tokens', { tokens: 3 }],
    ['reason', { reason: 'stop' }],
    ['text', { text: 'x' }],
  ])('is told by the %s of an end', (field, change) => {
    const reader = new TokenReader();
    numbers(reader, [0, 1]);
    reader.takeEnd(done(2), 'a');
    const value = change[field as keyof DoneEvent];
    expect(reader.takeEnd(done(2, change), 'b').difference).toMatchObject({
      field,
      second: { source: 'b', value },
    });
  });

  it('is told of tokens after an end, and of an end before tokens', () => {
    const ended = new TokenReader();
    ended.takeEnd(done(1), 'a');
    expect(ended.take(token(1), 'b').difference).toEqual({
      index: 1,
      field: 'tokens',
      first: { source: 'a', value: 1 },
      second: { source: 'b', value: 2 },
    });
    const going = new TokenReader();
    going.take(token(3), 'a');
    expect(going.takeEnd(done(3), 'b').difference).toEqual({
      index: 3,
      field: 'tokens',
      first: { source: 'a', value: 4 },
      second: { source: 'b', value: 3 },
    });
    expect(numbers(going, [0, 1, 2])).toEqual([[0], [1], [2, 3]]);
  });
});

it('ends where another source says so, though one before said that there is more', () => {
  const reader = new TokenReader();
  numbers(reader, [0, 1]);
  expect(reader.takeEnd(done(1_000_000), 'a').end).toBeUndefined();
  const taken = reader.takeEnd(done(2), 'b');
  expect(taken.end).toEqual(done(2));
  expect(taken.difference).toMatchObject({ first: { source: 'a' }, second: { source: 'b', value: 2 } });
  expect(reader.takeEnd(done(2), 'c')).toEqual({ fresh: [], end: done(2) });
});

it('of random sources that come, die and come back nothing is lost, repeated or missed', () => {
  const random = new Random(17);
  const below = (n: number) => Math.floor(random.nextDouble() * n);
  for (let round = 0; round < 300; round++) {
    const length = 1 + below(60);
    const given = below(length + 1);
    const reader = new TokenReader(
      Array.from({ length: given }, (_, i) => 100 + i),
      16,
    );
    const wrong = below(3) === 0 ? given + below(length) : -1;
    const handed: TokenEvent[] = [];
    let differences = 0;
    let ends = 0;
    // Each source goes on from where the reader is, or was, and is a board or a zombie.
    const sources = Array.from({ length: 3 }, () => ({ at: given, isAlive: true }));
    for (let turns = 0; !reader.isOver; turns++) {
      expect(turns).toBeLessThan(100_000);
      const who = below(sources.length);
      const source = sources[who];
      if (below(20) === 0) sources[who] = { at: given + below(reader.next - given + 1), isAlive: true };
      else if (source.at < length && source.at < reader.next + 16) {
        const isWrong = source.at === wrong && who === 1;
        // A message may be lost, and is told again.
        if (below(10) > 0) {
          const taken = reader.take(token(source.at, isWrong ? { logprob: -99 } : {}), `${who}`);
          handed.push(...taken.fresh);
          if (taken.end !== undefined) ends++;
          if (taken.difference !== undefined) {
            differences++;
            expect(taken.difference).toMatchObject({ index: wrong, field: 'logprob' });
          }
        }
        source.at++;
      } else if (source.at >= length && reader.takeEnd(done(length), `${who}`).end !== undefined) ends++;
    }
    expect(handed.map(({ index }) => index)).toEqual(
      Array.from({ length: length - given }, (_, i) => given + i),
    );
    expect(ends).toBe(1);
    for (const one of handed) {
      const isWrong = one.index === wrong && one.logprob === -99;
      expect(one).toEqual(token(one.index, isWrong ? { logprob: -99 } : {}));
    }
    if (wrong < 0) expect(differences).toBe(0);
  }
});
