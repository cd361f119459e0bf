import type { RegisterWindow } from '../board/index.js';

/** Running totals of what crossed the Board seam and of the work that it was for. Plain data; copy it to keep a moment. */
export interface Traffic {
  /** Accesses to registers, one bus transaction each. */
  registerReads: number;
  registerWrites: number;
  /** Transfers started by a write to LENGTH. */
  dmaTransfers: number;
  /** Bytes of these transfers: both directions, and each. Results count with the bytes really received. */
  dmaBytes: number;
  dmaBytesToDevice: number;
  dmaBytesFromDevice: number;
  /** MatMuls of one program, and the tiles that they were made of. */
  matMuls: number;
  tiles: number;
  /** Multiply-adds of these MatMuls: M*N*K each. */
  multiplyAdds: number;
  /** Core cycles of these MatMuls by the manual's formulas (driver/cycles.ts); a CONFIG of its own counts as nothing. */
  coreCycles: number;
}

export function newTraffic(): Traffic {
  return {
    registerReads: 0,
    registerWrites: 0,
    dmaTransfers: 0,
    dmaBytes: 0,
    dmaBytesToDevice: 0,
    dmaBytesFromDevice: 0,
    matMuls: 0,
    tiles: 0,
    multiplyAdds: 0,
    coreCycles: 0,
  };
}

/** A register window that counts its accesses. */
export function countedWindow(window: RegisterWindow, traffic: Traffic): RegisterWindow {
  return {
    name: window.name,
    base: window.base,
    size: window.size,
    read32(offset) {
      traffic.registerReads++;
      return window.read32(offset);
    },
    write32(offset, value) {
      traffic.registerWrites++;
      window.write32(offset, value);
    },
  };
}
