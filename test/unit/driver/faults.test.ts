import { describe, expect, it } from 'vitest';
import type { Board, BoardFault } from '../../../board/board.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { GgmlType } from '../../../gguf/types.js';
import { type FaultSwitch, openMockBoard } from '../../../mock-device/index.js';
import { boardWith, failureOf, golden, load, multiply } from './golden.js';

const z1 = loadBoardDescription('pynq-z1');
const v1 = loadBoardDescription('pynq-z1-v1');

/** A board that does not know its faults by name, like hardware. */
function hideNames(board: Board): Board {
  const takeNothing = (): readonly BoardFault[] => {
    board.takeFaults();
    return [];
  };
  return boardWith(board, { takeFaults: takeNothing });
}

/** A board whose transfers are over before they are first looked at, as after a pause of the driver's thread. */
function atOnce(board: Board): Board {
  return boardWith(board, {
    waitUntil: (done, timeoutUs) => {
      board.waitUntil(() => false, 5_000);
      return board.waitUntil(done, timeoutUs);
    },
  });
}

const CASES: [FaultSwitch, code: string, withoutName: string][] = [
  [{ name: 'dma-never-completes' }, 'DRIVER_DMA_TIMEOUT', 'DRIVER_DMA_TIMEOUT'],
  [{ name: 'dma-never-completes', lane: 2 }, 'DRIVER_DMA_TIMEOUT', 'DRIVER_DMA_TIMEOUT'],
  [{ name: 'dma-decode-error' }, 'DRIVER_DMA_DECODE_ERROR', 'DRIVER_DMA_DECODE_ERROR'],
  [{ name: 'dma-decode-error', lane: 3 }, 'DRIVER_DMA_DECODE_ERROR', 'DRIVER_DMA_DECODE_ERROR'],
  [{ name: 'dma-slave-error', lane: 1 }, 'DRIVER_DMA_SLAVE_ERROR', 'DRIVER_DMA_SLAVE_ERROR'],
  [{ name: 'dma-internal-error', channel: 's2mm' }, 'DRIVER_DMA_INTERNAL_ERROR', 'DRIVER_DMA_INTERNAL_ERROR'],
  [{ name: 'no-tlast' }, 'DRIVER_RESULT_WITHOUT_TLAST', 'DRIVER_RESULT_WITHOUT_TLAST'],
  [{ name: 'result-short' }, 'DRIVER_RESULT_LENGTH', 'DRIVER_RESULT_LENGTH'],
  [{ name: 'result-long' }, 'DRIVER_RESULT_LENGTH', 'DRIVER_DMA_INTERNAL_ERROR'],
  [{ name: 'core-stuck' }, 'DRIVER_CORE_STUCK', 'DRIVER_CORE_STUCK'],
  [{ name: 'stream-desynchronised' }, 'DRIVER_STREAM_DESYNCHRONISED', 'DRIVER_STREAM_DESYNCHRONISED'],
  [{ name: 'stale-cache' }, 'DRIVER_STALE_BUFFER', 'DRIVER_DMA_TIMEOUT'],
  [{ name: 'bus-error' }, 'DRIVER_BUS_ERROR', 'DRIVER_BUS_ERROR'],
];

describe('a fault', () => {
  it.each(CASES)('%o ends in its typed error and a working next multiply', (fault, code, withoutName) => {
    for (const placement of ['resident', 'staged'] as const) {
      for (const named of [true, false]) {
        const board = openMockBoard(z1);
        const accelerator = new Accelerator(named ? board : hideNames(board));
        const vector = golden('q3_15');
        const program = load(accelerator, vector, placement);
        multiply(accelerator, program, vector);
        board.injectFault(fault);
        const error = failureOf(() => multiply(accelerator, program, vector));
        expect(error.code, `${placement}, ${named ? 'named' : 'not named'}`).toBe(named ? code : withoutName);
        expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
      }
    }
  });

  it('of one short packet, results found at the first look, is found on whatever tile: in its turn at the latest', () => {
    const tiles = 5;
    for (let tile = 0; tile < tiles; tile++) {
      const board = openMockBoard(z1);
      const accelerator = new Accelerator(atOnce(hideNames(board)));
      const rows = tiles * (z1.capacity.weightBlocks / 4);
      const shape = { name: 'weights', type: GgmlType.Q3_K, rows, columns: 1024 };
      const program = accelerator.load({ ...shape, readRows: () => {} }, 'resident');
      const run = () =>
        accelerator.multiply([program], 1, (blocks) => void blocks.fill(0), [new Float32Array(rows)]);
      run();
      expect(accelerator.traffic.tiles).toBe(tiles);
      const failures: string[] = [];
      for (let turn = 0; turn < tiles && failures.length === 0; turn++) {
        board.injectFault({ name: 'result-short', after: tile, count: 1 });
        try {
          run();
        } catch (error) {
          failures.push(isPynqLlmError(error) ? error.code : String(error));
        }
      }
      expect(failures, `tile ${tile}`).toEqual(['DRIVER_RESULT_LENGTH']);
      run();
      accelerator.close();
    }
  });

  it('of the stream is told by its symptoms where there is one lane', () => {
    const board = openMockBoard(v1);
    const accelerator = new Accelerator(hideNames(board));
    const vector = golden('q3_15');
    const program = load(accelerator, vector, 'staged');
    board.injectFault({ name: 'stream-desynchronised' });
    expect(failureOf(() => multiply(accelerator, program, vector)).code).toBe('DRIVER_STREAM_DESYNCHRONISED');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it('of capacity is named', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_01');
    const program = load(accelerator, vector, 'resident');
    board.injectFault({ name: 'capacity-exceeded' });
    expect(failureOf(() => multiply(accelerator, program, vector)).code).toBe('DRIVER_CAPACITY_EXCEEDED');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it('of results that mean nothing is told only by a board that knows it: hardware gives some words', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'staged');
    board.injectFault({ name: 'unknown-type' });
    expect(failureOf(() => multiply(accelerator, program, vector)).code).toBe('DRIVER_DEVICE_FAULT');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it('in a later tile is survived too', () => {
    const board = openMockBoard(v1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_15');
    const program = load(accelerator, vector, 'resident');
    board.injectFault({ name: 'core-stuck', after: 2 });
    const error = failureOf(() => multiply(accelerator, program, vector));
    expect(error.context.waitedFor).toBe('The transfer of results of tile 2 of golden');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it('says what was waited for, decoded status, bytes moved, what the board knows and likely causes', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'staged');
    board.injectFault({ name: 'dma-decode-error', lane: 1 });
    const error = failureOf(() => multiply(accelerator, program, vector));
    expect(error.context).toMatchObject({
      waitedFor: 'The transfer of results of tile 0 of golden',
      deadlineUs: 100_000,
    });
    expect(error.context.bytesMoved).toBe(0);
    board.injectFault({ name: 'dma-never-completes', lane: 1 });
    const late = failureOf(() => multiply(accelerator, program, vector));
    expect(late.context.bytesMoved).toBeGreaterThan(0);
    const { channels, core, faults, causes } = error.context;
    expect(channels).toContainEqual(
      expect.stringMatching(/^dma1 MM2S sent 0 of 1792 bytes \(HALTED DMA_DEC_ERR ERR_IRQ\)$/),
    );
    expect(core).toContain('scheduler: idle (1)');
    expect(faults).toContainEqual(expect.stringMatching(/^dma-decode-error: /));
    expect(causes).toHaveLength(2);
    expect(error.message).toMatch(/Likely causes: the DMA memory of the board description/);
  });

  it('leaves weights in DMA memory and the counters as they were set', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'resident');
    accelerator.counters.setTargets({ scheduler: 'done' });
    board.injectFault({ name: 'no-tlast' });
    failureOf(() => multiply(accelerator, program, vector));
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    const reading = accelerator.counters.read().find(({ monitor }) => monitor === 'scheduler');
    expect(reading).toEqual({ monitor: 'scheduler', state: 'done', stateNumber: 4, cycles: 8 });
  });

  it('of the reset after it is reported, and the next request tries the reset again', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'resident');
    board.injectFault({ name: 'bus-error', count: 2 });
    const error = failureOf(() => multiply(accelerator, program, vector));
    expect(error.code).toBe('DRIVER_NOT_RECOVERED');
    expect(isPynqLlmError(error.cause, 'DRIVER_BUS_ERROR')).toBe(true);
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it.each([0, 1, 2, 3])('of the engine of lane %i is noticed at once, not at the deadline', (lane) => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(hideNames(board));
    const vector = golden('q3_15');
    const program = load(accelerator, vector, 'resident');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    for (const name of ['dma-decode-error', 'dma-slave-error', 'dma-internal-error'] as const) {
      board.injectFault({ name, lane, channel: 'mm2s' });
      const start = board.now();
      const error = failureOf(() => multiply(accelerator, program, vector));
      expect(error.context.timedOut).toBe(false);
      expect(board.now() - start).toBeLessThan(1_000);
      expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    }
  });

  it('waits no longer than its deadline, which follows from the expected cycles', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board, { deadlineFactor: 4, minimumDeadlineUs: 10 });
    const vector = golden('q3_15');
    const program = load(accelerator, vector, 'resident');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    board.injectFault({ name: 'core-stuck' });
    const start = board.now();
    const error = failureOf(() => multiply(accelerator, program, vector));
    const deadlineUs = Number(error.context.deadlineUs);
    expect(deadlineUs).toBeLessThan(2000);
    // From the load of the tile on: inputs and weights came before.
    expect(board.now() - start).toBeLessThan(1.2 * deadlineUs);
  });
});
