import { bootMemory } from './boot-memory.js';
import type { BoardDescription } from './description.js';

/** Reservations are whole multiples of this: a kernel maps memory in such pieces. */
const RESERVED_UNIT = 4 * 2 ** 20;

/** Bytes that a board has for DMA. */
export function dmaBytes({ dmaMemory }: BoardDescription): number {
  return dmaMemory.reduce((sum, { size }) => sum + size, 0);
}

/**
 * A board with another share of its memory for DMA, rounded up to whole pieces of 4 MiB: what is reserved lies at the end of memory;
 * of devices those that are sent from change, and their addresses stay as they were.
 * @returns undefined where the board cannot have so much, or its reservation cannot be moved
 */
export function withDmaMemory(description: BoardDescription, bytes: number): BoardDescription | undefined {
  const { dmaDevices, memoryBytes, dmaMemory } = description;
  if (dmaDevices !== undefined) {
    const lanes = dmaDevices.names.length / 2;
    const own = bytes - lanes * dmaDevices.outBytes;
    const inBytes = Math.ceil(own / lanes / RESERVED_UNIT) * RESERVED_UNIT;
    if (inBytes <= 0 || lanes * (inBytes + dmaDevices.outBytes) >= memoryBytes) return undefined;
    const regions = dmaMemory.map((region, i) => (i % 2 === 0 ? { ...region, size: inBytes } : region));
    return { ...description, dmaDevices: { ...dmaDevices, inBytes }, dmaMemory: regions };
  }
  const size = Math.ceil(bytes / RESERVED_UNIT) * RESERVED_UNIT;
  if (bootMemory(description).argument === undefined || size <= 0 || size >= memoryBytes) return undefined;
  return { ...description, dmaMemory: [{ base: memoryBytes - size, size }] };
}
