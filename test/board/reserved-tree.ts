import { copyFileSync } from 'node:fs';
import type { MemoryRegion } from '../../board/index.js';
import { run } from './run.js';

/** What the image's tree keeps for the Linux driver's tests, within the memory that is to be one piece here. */
const REMOVED = [
  ...['/reserved-memory', '/dma-buffer@18000000', '/control@1bfa0000', '/hwc@1bfb0000'],
  ...['/dma@1bfc0000', '/dma@1bfd0000', '/dma@1bfe0000', '/dma@1bff0000'],
];
const SECOND_CARD = '/axi/mmc@e0101000';

/**
 * Writes the device tree of a board whose DMA memory is one region that a UIO device covers, as docs/memory.md has it, and
 * that has a second card. Linux is to be kept from the region by `mem=`.
 */
export async function writeReservedTree(
  deviceTree: string,
  { base, size }: MemoryRegion,
  path: string,
): Promise<void> {
  const put = (...args: readonly string[]) => run('fdtput', args, { timeoutMs: 10_000 });
  copyFileSync(deviceTree, path);
  await put('-r', path, ...REMOVED);
  const node = `/dma@${base.toString(16)}`;
  await put('-c', path, node);
  await put('-t', 's', path, node, 'compatible', 'generic-uio');
  await put('-t', 'x', path, node, 'reg', base.toString(16), size.toString(16));
  await put('-t', 's', path, SECOND_CARD, 'status', 'okay');
}
