import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { CORE_BLOCK_BYTES } from '../../../gguf/types.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { fill } from '../board/contents.js';
import { onlyWords, testMemory } from './external-memory.js';
import { bitMismatches, bytesOf, description, Poker, readVector, runMatMul } from './harness.js';

const REGIONS = description('v3').dmaMemory;
const vector = readVector('public_q3_00_gauss_small_M64_N1_K256.bin');

function pokerOn(memory = testMemory(REGIONS)): Poker {
  return new Poker('v3', {}, { memory });
}

describe('a mock on memory of a board', () => {
  it('has less than 16 MiB of its own, on every board, and the addresses of that memory', () => {
    for (const name of ['pynq-z1', 'pynq-z1-v1', 'kv260', 'kv260-2026-v4']) {
      const regions = [{ base: 0x0980_0000, size: 4096 }];
      const board = openMockBoard(loadBoardDescription(name), { memory: testMemory(regions) });
      expect(board.memoryBytes).toBeLessThan(16 << 20);
      expect(board.description.dmaMemory).toEqual(regions);
      expect(board.allocate(64).physicalAddress).toBe(0x0980_0000);
      board.close();
    }
  });

  it.each([true, false])('accesses nothing but whole words of it (resident: %s)', (resident) => {
    const poker = pokerOn(testMemory(REGIONS, onlyWords));
    const run = runMatMul(poker, vector, resident);
    expect(bitMismatches(run.results, vector.results)).toBe(0);
    expect(run.cycles).toBe(runMatMul(new Poker('v3'), vector, resident).cycles);
    expect(poker.board.takeFaults()).toEqual([]);
  });

  it('copies inputs and weights once; on memory of its own the mock copies neither', () => {
    const weights = vector.rows * vector.kb * CORE_BLOCK_BYTES[vector.type];
    const stored =
      (weights / CORE_BLOCK_BYTES[vector.type]) * Math.ceil(CORE_BLOCK_BYTES[vector.type] / 4) * 4;
    const poker = pokerOn();
    runMatMul(poker, vector, true);
    expect(poker.board.gatheredBytes).toBe(stored + vector.inputs.length);
    for (const resident of [true, false]) {
      const own = new Poker('v3');
      runMatMul(own, vector, resident);
      expect(own.board.gatheredBytes).toBe(0);
    }
  });

  it('goes on with the weights that it loaded when their memory has changed', () => {
    const poker = pokerOn();
    const first = runMatMul(poker, vector, true);
    const buffer = poker.buffer(REGIONS[0].size - (16 << 10));
    buffer.giveToCpu();
    fill(buffer, 0xff);
    const out = poker.arm(vector.rows * 4);
    poker.send(0, bytesOf([0x04, 0, 0, vector.rows, 1]));
    expect(poker.received()).toBe(true);
    out.giveToCpu();
    const again = new Uint8Array(vector.rows * 4);
    out.read(0, again);
    expect(bitMismatches(new Uint32Array(again.buffer), first.results)).toBe(0);
  });

  it('stops a transfer whose memory is taken back, and refuses one of memory that the CPU has', () => {
    const poker = pokerOn();
    const out = poker.arm(64);
    out.giveToCpu();
    expect(poker.board.takeFaults()).toMatchObject([{ name: 'stale-cache' }]);
    const own = poker.board.allocate(64);
    poker.write(1, 'MM2S_SA', own.physicalAddress);
    poker.write(1, 'MM2S_LENGTH', 64);
    expect(poker.board.takeFaults()).toMatchObject([{ name: 'stale-cache' }]);
    poker.write(2, 'MM2S_SA', REGIONS[0].base - 64);
    poker.write(2, 'MM2S_LENGTH', 64);
    expect(poker.board.takeFaults()).toMatchObject([{ name: 'dma-decode-error' }]);
  });

  it('gives freed memory out again, and all of it back when it is closed', () => {
    const memory = testMemory(REGIONS);
    const { board } = pokerOn(memory);
    const { total } = board.dmaMemory();
    const buffer = board.allocate(total);
    buffer.giveToDevice();
    expect(() => board.allocate(64)).toThrow('DRIVER_DMA_MEMORY_FULL');
    buffer.free();
    buffer.free();
    expect(board.allocate(total, { align: 4096 }).physicalAddress).toBe(REGIONS[0].base);
    expect(memory.isOpen).toBe(true);
    board.close();
    board.close();
    expect(memory.isOpen).toBe(false);
  });
});
