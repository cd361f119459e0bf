import { describe, expect, it } from 'vitest';
import type { DmaBuffer } from '../../../board/board.js';
import { DMASR } from '../../../board/registers/axi-dma.js';
import { contents, fill } from '../board/contents.js';
import { bytesOf, concat, laneWords, Poker, readVector } from './harness.js';

const vector = readVector('public_q3_00_gauss_small_M64_N1_K256.bin');

/** Loads inputs and starts a COMPUTE that gives 4 zeros: kb is 0. */
function computeZeros(poker: Poker): void {
  poker.send(0, bytesOf([0x14, 0, 0, 0, 3, 0, 0, 2, 2]));
}

/** A buffer for each lane with its 16 of the vector's 64 blocks. */
function weightBuffers(poker: Poker): DmaBuffer[] {
  return laneWords(vector.type, vector.weights, 4).map((words) => poker.buffer(words));
}

function sendInputs(poker: Poker): void {
  poker.send(0, concat(bytesOf([0x11, 1, 64, 1, 3, 1]), vector.inputs));
  poker.sent(0);
}

/** Sends the header of a LOAD_WGT of 64 blocks. */
function sendHeader(poker: Poker): void {
  poker.send(0, bytesOf([0x02, 64, 28, 448, 448, 448, 448]));
  poker.sent(0);
}

/** The bytes of 64 results of the weights that are loaded. */
function computed(poker: Poker): Uint8Array {
  const out = poker.arm(256);
  poker.send(0, bytesOf([0x04, 0, 0, 64, 1]));
  expect(poker.received()).toBe(true);
  out.giveToCpu();
  return contents(out);
}

describe('DMA memory', () => {
  it('is allocated without overlaps, aligned, and may be used again when freed', () => {
    const { board } = new Poker('v3');
    const { total, free } = board.dmaMemory();
    expect(free).toBe(total);
    const first = board.allocate(100);
    const second = board.allocate(100, { align: 4096 });
    expect(first.physicalAddress).toBe(0x1800_0000);
    expect(second.physicalAddress).toBe(0x1800_1000);
    expect(board.dmaMemory().free).toBe(total - 200);
    first.free();
    expect(board.allocate(4096).physicalAddress).toBe(0x1800_0000);
  });

  it('says how much is left when it is full', () => {
    const { board } = new Poker('v3');
    board.allocate(8 << 20);
    expect(() => board.allocate((8 << 20) + 1)).toThrow(/DRIVER_DMA_MEMORY_FULL.*8388608 are free/);
  });

  it('may lie in several pieces, and no buffer spans two', () => {
    const mebi = 1 << 20;
    const { board } = new Poker('v3', {
      dmaMemory: [
        { base: 0x1800_0000, size: mebi },
        { base: 0x2000_0000, size: 2 * mebi },
      ],
    });
    expect(board.dmaMemory()).toEqual({ total: 3 * mebi, free: 3 * mebi, largestFree: 2 * mebi });
    expect(board.allocate(2 * mebi).physicalAddress).toBe(0x2000_0000);
    expect(() => board.allocate(2 * mebi)).toThrow('DRIVER_DMA_MEMORY_FULL');
  });

  it('keeps the bytes of a buffer from the CPU while the device owns it', () => {
    const { board } = new Poker('v3');
    const buffer = board.allocate(64);
    fill(buffer, 7);
    buffer.giveToDevice();
    buffer.giveToDevice();
    expect(buffer.ownerOf()).toBe('device');
    expect(() => contents(buffer)).toThrow('DRIVER_BUFFER_NOT_OWNED');
    buffer.giveToCpu();
    expect(contents(buffer)).toEqual(new Uint8Array(64).fill(7));
    buffer.free();
    expect(() => contents(buffer)).toThrow('DRIVER_BUFFER_FREED');
  });

  it('changes hands in ranges of whole cache lines, each with its owner', () => {
    const buffer = new Poker('v3').board.allocate(200);
    buffer.giveToDevice(70, 1);
    expect(buffer.ownerOf()).toBe('both');
    expect([0, 63, 64, 127, 128].map((at) => buffer.ownerOf(at, 1))).toEqual([
      'cpu',
      'cpu',
      'device',
      'device',
      'cpu',
    ]);
    buffer.write(0, new Uint8Array(64));
    expect(() => buffer.write(60, new Uint8Array(5))).toThrow('DRIVER_BUFFER_NOT_OWNED');
    expect(() => buffer.read(127, new Uint8Array(1))).toThrow('DRIVER_BUFFER_NOT_OWNED');
    buffer.giveToDevice(0, 200);
    buffer.giveToCpu(130, 2);
    expect([buffer.ownerOf(0, 128), buffer.ownerOf(128, 64), buffer.ownerOf(192)]).toEqual([
      'device',
      'cpu',
      'device',
    ]);
    expect(() => buffer.giveToCpu(100, 101)).toThrow('DRIVER_ADDRESS_OUT_OF_RANGE');
    expect(() => buffer.read(128, new Uint8Array(4), 1, 4)).toThrow('DRIVER_ADDRESS_OUT_OF_RANGE');
  });

  it('is synchronised only in the direction in which bytes go', () => {
    const { board } = new Poker('v3');
    const toDevice = board.allocate(256, { direction: 'to-device' });
    expect([toDevice.giveToDevice(64, 65), toDevice.giveToDevice(64, 128), toDevice.giveToCpu()]).toEqual([
      128, 0, 0,
    ]);
    const fromDevice = board.allocate(256, { direction: 'from-device' });
    expect([fromDevice.giveToDevice(), fromDevice.giveToCpu(0, 100)]).toEqual([0, 128]);
    expect(() => fromDevice.write(0, new Uint8Array(1))).toThrow('DRIVER_BAD_ARGUMENT');
  });

  it('that the device only reads refuses results', () => {
    const poker = new Poker('v3');
    const buffer = poker.board.allocate(64, { direction: 'to-device' });
    buffer.giveToDevice();
    poker.write(0, 'S2MM_DA', buffer.physicalAddress);
    poker.write(0, 'S2MM_LENGTH', 64);
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['stale-cache']);
  });

  it('stays readable when it is 768 MiB large', () => {
    const { board } = new Poker('v3', { dmaMemory: [{ base: 0x3800_0000, size: 768 << 20 }] });
    const first = board.allocate(64);
    const rest = board.allocate((768 << 20) - 64);
    rest.write(rest.byteLength - 3, Uint8Array.of(1, 2, 3));
    first.write(0, Uint8Array.of(9));
    expect([contents(first)[0], contents(rest, rest.byteLength - 1)[0]]).toEqual([9, 3]);
  });

  it('lets the device send what it received itself', () => {
    const poker = new Poker('v1');
    const out = poker.arm(16);
    computeZeros(poker);
    poker.received();
    // The four zeros are no-ops for the core: had it read the disguise, it would wait for operands.
    poker.sendBuffer(0, out);
    expect(poker.sent(0)).toBe(true);
    poker.board.waitUntil(() => false, 10);
    expect(poker.status()).toEqual([1, 1, 1, 1, 0, 0, 0, 1, 1]);
    expect(poker.board.takeFaults()).toEqual([]);
  });

  it.each(['MM2S', 'S2MM'] as const)(
    'that the CPU owns stops an %s transfer as a stale cache would',
    (direction) => {
      const poker = new Poker('v3');
      const buffer = poker.board.allocate(64);
      poker.write(0, direction === 'MM2S' ? 'MM2S_SA' : 'S2MM_DA', buffer.physicalAddress);
      poker.write(0, `${direction}_LENGTH`, 64);
      poker.board.waitUntil(() => false, 1000);
      expect(poker.read(0, `${direction}_DMASR`) & (DMASR.IDLE | DMASR.HALTED | DMASR.IOC_IRQ)).toBe(0);
      expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['stale-cache']);
    },
  );

  it('that is handed back too early stops the transfer', () => {
    const poker = new Poker('v3');
    const out = poker.arm(64);
    out.giveToCpu();
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['stale-cache']);
  });

  it('may change under the words of some lanes while a load waits for the others', () => {
    const results = [false, true].map((changes) => {
      const poker = new Poker('v3');
      const buffers = weightBuffers(poker);
      sendInputs(poker);
      sendHeader(poker);
      for (const lane of [0, 1, 2]) poker.sendBuffer(lane, buffers[lane]);
      for (const lane of [0, 1, 2]) expect(poker.sent(lane)).toBe(true);
      if (changes)
        for (const lane of [0, 1, 2]) {
          buffers[lane].giveToCpu();
          fill(buffers[lane], 0xff);
        }
      poker.sendBuffer(3, buffers[3]);
      poker.sent(3);
      return computed(poker);
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[0].some((byte) => byte !== 0)).toBe(true);
  });

  it('may change under weights that are loaded already', () => {
    const poker = new Poker('v3');
    const buffers = weightBuffers(poker);
    sendInputs(poker);
    for (const lane of [1, 2, 3]) poker.sendBuffer(lane, buffers[lane]);
    sendHeader(poker);
    poker.sendBuffer(0, buffers[0]);
    for (const lane of [0, 1, 2, 3]) poker.sent(lane);
    const before = computed(poker);
    for (const buffer of buffers) {
      buffer.giveToCpu();
      fill(buffer, 0);
      buffer.giveToDevice();
    }
    const after = computed(poker);
    expect(after).toEqual(before);
    expect(before.some((byte) => byte !== 0)).toBe(true);
  });
});
