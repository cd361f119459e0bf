import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import type { BoardDescription } from '../../../board/index.js';
import { StepPrices } from '../../../fleet/gateway/step-prices.js';
import { type BoardRecord, readRecord } from '../../../fleet/messages.js';
import { silentLog } from '../../../listen/index.js';
import { TINY_STORIES } from '../llm/models.js';

const SHIPPED = readdirSync('boards').filter((name) => name.endsWith('.toml'));
const Z1 = loadBoardDescription('pynq-z1');

/** What a board with such a description says of itself, as its gateway reads it. */
function read(description: Partial<BoardDescription>): BoardRecord {
  const record = {
    info: {
      device: 'linux:',
      description: { ...Z1, ...description },
      agent: '0',
      node: 'v0',
      platform: 'linux arm',
      protocol: { major: 3, minor: 0 },
      capabilities: [],
      uptimeMs: 0,
    },
    leaseMs: 3_000,
    places: 8,
    isDraining: false,
    models: [],
  };
  return readRecord(JSON.stringify(record), 'shelf-1');
}

function stepMs(record: BoardRecord): number {
  const prices = new StepPrices({
    store: { path: () => TINY_STORIES },
    log: silentLog,
    boards: { get: () => undefined, all: [] },
    planOf: () => undefined,
  });
  const counts = { tokens: 0, redelivered: 0 };
  return prices.of('m', { name: 'shelf-1', owner: 'o', record, counts }).stepMs(8, 8);
}

describe('what a board says of itself', () => {
  it.each<[string, Partial<BoardDescription>]>([
    ['a clock that stands', { clockHz: 0 }],
    ['a clock of one cycle a second', { clockHz: 1 }],
    ['transfers of no bytes', { dma: { lanes: 1, lengthBits: 0 } }],
    ['transfers without an end', { dma: { lanes: 1, lengthBits: 2_000 } }],
    ['lanes that its revision has not', { dma: { lanes: 4, lengthBits: 23 } }],
    ['a core that holds nothing', { capacity: { weightBlocks: 0, inputBlocks: 0 } }],
    ['a core that holds everything', { capacity: { weightBlocks: 2 ** 50, inputBlocks: 2 ** 50 } }],
    ['types of weights that there are not', { weightTypes: [1e9] }],
    ['a timing that its revision has not', { timing: 'synthesised' }],
    ['no memory', { memoryBytes: 0 }],
  ])('is refused where nothing can be predicted by it: %s', (_, description) => {
    const v1 = { revision: 'v1', timing: 'systemc', dma: { lanes: 1, lengthBits: 23 } } as const;
    expect(() => read({ ...v1, ...description })).toThrow(
      expect.objectContaining({ code: 'FLEET_BAD_MESSAGE', what: expect.stringContaining('description') }),
    );
  });

  it.each(SHIPPED)('is read, and its steps predicted, of %s', (file) => {
    const record = read(loadBoardDescription(file.replace(/\.toml$/, '')));
    expect(stepMs(record)).toBeGreaterThan(0);
    expect(stepMs(record)).toBeLessThan(1e6);
  });

  it('is counted with at the limits, too', () => {
    const least = {
      clockHz: 1_000_000,
      dma: { lanes: Z1.dma.lanes, lengthBits: 14 },
      capacity: { weightBlocks: 1, inputBlocks: 1 },
    };
    expect(stepMs(read(least))).toBeLessThan(Number.MAX_SAFE_INTEGER);
  });
});
