import type { DmaBuffer, RegisterWindow } from '../board/index.js';

/** Running totals of what crossed the Board seam and of the work that it was for. Plain data; copy it to keep a moment. */
export interface Traffic {
  /** Accesses to registers, one bus transaction each. */
  registerReads: number;
  registerWrites: number;
  /** Transfers started by a write to LENGTH. */
  dmaTransfers: number;
  /** Bytes of these transfers: both directions, and each. Results count with the bytes asked for. */
  dmaBytes: number;
  dmaBytesToDevice: number;
  dmaBytesFromDevice: number;
  /** Ranges of DMA memory that changed hands and had to be made visible to the other side, and their bytes. */
  handOvers: number;
  bytesHandedToDevice: number;
  bytesHandedToCpu: number;
  /** Bytes that the CPU wrote to DMA memory and read from it. */
  cpuBytesWritten: number;
  cpuBytesRead: number;
  /** MatMuls of one program, and the tiles that they were made of. */
  matMuls: number;
  tiles: number;
  /** Multiply-adds of these MatMuls: M*N*K each. */
  multiplyAdds: number;
  /** Core cycles of these MatMuls by the formulas of the board's timing (board/timing); a CONFIG of its own counts as nothing. */
  coreCycles: number;
}

/**
 * Zeros. They are kept as doubles from the start: V8 gives up all compiled code that counts whenever a total outgrows the small
 * integers that it was seen as, one after another, while tokens are generated.
 */
export function newTraffic(): Traffic {
  const traffic: Traffic = {
    registerReads: DOUBLE,
    registerWrites: DOUBLE,
    dmaTransfers: DOUBLE,
    dmaBytes: DOUBLE,
    dmaBytesToDevice: DOUBLE,
    dmaBytesFromDevice: DOUBLE,
    handOvers: DOUBLE,
    bytesHandedToDevice: DOUBLE,
    bytesHandedToCpu: DOUBLE,
    cpuBytesWritten: DOUBLE,
    cpuBytesRead: DOUBLE,
    matMuls: DOUBLE,
    tiles: DOUBLE,
    multiplyAdds: DOUBLE,
    coreCycles: DOUBLE,
  };
  for (const name of Object.keys(traffic) as (keyof Traffic)[]) traffic[name] = 0;
  return traffic;
}

/** Any number that is no integer. */
const DOUBLE = 0.5;

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

/** A buffer that counts what the CPU does to it. */
export function countedBuffer(buffer: DmaBuffer, traffic: Traffic): DmaBuffer {
  const { physicalAddress, byteLength, direction } = buffer;
  return {
    physicalAddress,
    byteLength,
    direction,
    ownerOf: (offset, bytes) => buffer.ownerOf(offset, bytes),
    write(offset, source, at = 0, bytes = source.length - at) {
      buffer.write(offset, source, at, bytes);
      traffic.cpuBytesWritten += bytes;
    },
    read(offset, into, at = 0, bytes = into.length - at) {
      buffer.read(offset, into, at, bytes);
      traffic.cpuBytesRead += bytes;
    },
    giveToDevice(offset, bytes) {
      const handed = buffer.giveToDevice(offset, bytes);
      if (handed > 0) traffic.handOvers++;
      traffic.bytesHandedToDevice += handed;
      return handed;
    },
    giveToCpu(offset, bytes) {
      const handed = buffer.giveToCpu(offset, bytes);
      if (handed > 0) traffic.handOvers++;
      traffic.bytesHandedToCpu += handed;
      return handed;
    },
    free: () => buffer.free(),
  };
}
