import { describe, expect, it } from 'vitest';
import { bootMemory, dmaBytes, loadBoardDescription, withDmaMemory } from '../../../board/index.js';

const MEBI = 2 ** 20;

describe('a board with another share of its memory for DMA', () => {
  it('keeps the end of memory from Linux, in pieces of 4 MiB', () => {
    const board = withDmaMemory(loadBoardDescription('pynq-z1'), 253 * MEBI)!;
    expect(dmaBytes(board)).toBe(256 * MEBI);
    expect(board.dmaMemory).toEqual(loadBoardDescription('pynq-z1-256').dmaMemory);
    expect(bootMemory(board).argument).toBe('mem=256M');
  });

  it('makes devices to send from larger, and leaves those for results', () => {
    const usual = loadBoardDescription('kv260-2026-v3');
    const board = withDmaMemory(usual, 576 * MEBI)!;
    expect(board.dmaDevices).toMatchObject({ inBytes: 128 * MEBI, outBytes: usual.dmaDevices!.outBytes });
    expect(dmaBytes(board)).toBe(576 * MEBI);
  });

  it('is none where memory does not have so much', () => {
    expect(withDmaMemory(loadBoardDescription('pynq-z1'), 512 * MEBI)).toBeUndefined();
    expect(withDmaMemory(loadBoardDescription('kv260-2026-v3'), 64 * MEBI)).toBeUndefined();
  });
});
