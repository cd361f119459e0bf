import { describe, expect, it } from 'vitest';
import { differingShares } from '../../../bench/fleet/all-reduce.js';
import { generateMs, promptMs } from '../../../bench/fleet/pipeline.js';
import { roundTripRows, type ScalingRow, scalingRows } from '../../../bench/fleet/scaling.js';
import { DEFAULT_LINK } from '../../../fleet/index.js';
import { TINY_LLAMA } from '../fleet/models.js';

const LINK = { bytesPerSecond: 1e6, roundTripMs: 2 };

describe('the simulation of a pipeline', () => {
  it('takes one micro-batch through stages and links one after the other', () => {
    const stages = [() => 10, () => 20, () => 5];
    // Two hops of 1,000 bytes and back: 1 + 1 ms each, and 4 bytes.
    const ms = generateMs(stages, LINK, 1000, { batches: 1, columns: 1, tokens: 3 });
    expect(ms).toBeCloseTo(3 * (35 + 4) + 2 * 1.004, 9);
  });

  it('lets the slowest stage decide where there are as many micro-batches as stages', () => {
    const ms = generateMs([() => 10, () => 20], { ...LINK, roundTripMs: 0 }, 0, {
      batches: 2,
      columns: 1,
      tokens: 50,
    });
    expect(ms).toBeCloseTo(10 + 2 * 50 * 20, 0);
  });

  it('does not let a port carry two messages at a time', () => {
    const ms = promptMs([() => 1, () => 1], LINK, 10_000, { tokens: 4, chunk: 1 });
    expect(ms).toBeCloseTo(1 + 4 * 10 + 1 + 1, 9);
  });

  it('sends chunks of a prompt one behind the other, and asks for one logit', () => {
    const wanted: number[] = [];
    const stage = (columns: number, logits: number) => {
      wanted.push(logits);
      return columns;
    };
    expect(promptMs([stage], LINK, 0, { tokens: 100, chunk: 32 })).toBe(100);
    expect(wanted).toEqual([0, 0, 0, 1]);
  });
});

describe('what several boards are worth with TinyLlama-1.1B Q3_K_S, 62 MB/s and 0.2 ms', () => {
  const rows = scalingRows(TINY_LLAMA, DEFAULT_LINK, true);
  const gains = (what: string, timing: string, of: readonly ScalingRow[] = rows) =>
    of.filter((row) => row.what === what && row.timing === timing).map(({ gain }) => gain);
  const least = (what: string, timing: string, wanted: readonly number[]) => {
    const found = gains(what, timing);
    for (const [i, gain] of wanted.entries()) expect(found[i]).toBeGreaterThanOrEqual(gain);
  };

  it.each([
    ['pipeline, 8 sequences a board', 'synthesised', [1.96, 3.92, 7.8]],
    ['pipeline, 8 sequences a board', 'synthesised, unpack=hls', [1.96, 3.92, 7.8]],
    ['pipeline, 8 sequences a board', 'systemc', [1.99, 3.95, 7.79]],
    ['pipeline, one stream', 'synthesised', [0.99, 0.99, 0.99]],
    // Of a prompt a stage has whole layers, and the cut is bounded by memory: 11 of 21.1, 6 and 3.
    ['pipeline, a prompt of 2048, cut for prompts', 'synthesised', [1.87, 3.38, 6.4]],
    ['pipeline, a prompt of 2048, cut for prompts', 'systemc', [1.85, 3.24, 5.8]],
    ['data parallel, 8 sequences a board', 'synthesised', [1.98, 3.9, 7.7]],
    ['data parallel, 8 sequences a board', 'systemc', [1.98, 3.9, 7.7]],
    ['data parallel, 8 sequences in all', 'synthesised', [1.9, 3.45, 5.95]],
    ['data parallel, 8 sequences in all', 'synthesised, unpack=hls', [1.83, 3.2, 5.15]],
    ['tensor parallel, exact, one stream', 'synthesised', [1.85, 3.4, 6]],
    ['tensor parallel, exact, one stream', 'systemc', [1.8, 3.1]],
  ] as const)('%s, %s: at least %j at 2, 4 and 8 boards', (what, timing, wanted) => {
    least(what, timing, wanted);
  });

  it.each([
    ['pipeline of pairs, 8 sequences a stage', 'synthesised', [3.8, 7.5]],
    ['pipeline of pairs, one stream', 'synthesised', [1.9, 1.9]],
  ] as const)('%s, %s: at least %j at 4 and 8 boards', (what, timing, wanted) => {
    least(what, timing, wanted);
  });

  it('is never more than the boards', () => {
    for (const { gain, boards } of rows) expect(gain).toBeLessThanOrEqual(boards * 1.0001);
  });

  it('says where one board could not hold the model', () => {
    for (const { board, note } of rows)
      expect(note.includes('hypothetical: all resident')).toBe(board.startsWith('pynq-z1'));
  });

  it('falls with the round trip of the links, where matrices are cut by rows', () => {
    const table = roundTripRows(TINY_LLAMA, DEFAULT_LINK);
    for (const boards of [2, 4, 8]) {
      const found = table
        .filter((row) => row.timing === 'synthesised' && row.boards === boards)
        .map(({ gain }) => gain);
      expect(found).toHaveLength(6);
      expect(found).toEqual(found.toSorted((a, b) => b - a));
    }
  });

  it('is less with a ring, which changes bits', () => {
    for (const timing of ['synthesised', 'systemc']) {
      const exact = gains('tensor parallel, exact, one stream', timing);
      for (const [i, gain] of gains('ring all-reduce, one stream, NOT bit-equal', timing).entries())
        expect(gain).toBeLessThan(exact[i]!);
    }
    const { 1: uncut, ...shares } = differingShares([1, 2, 4, 8]);
    expect(Math.min(...Object.values(shares))).toBeGreaterThan(0.2);
    expect(uncut).toBe(0);
  });
});
