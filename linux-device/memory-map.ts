import { hex, listDirectory, readText, type SystemFiles } from './system-files.js';

const DEVICE_TREE = '/proc/device-tree';

/** A physical range; `end` is the first byte behind it. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Why a physical range may not be given to DMA: Linux uses some of it, or nothing shows that it does not. Undefined
 * where all of it is kept from Linux: outside of its RAM, or reserved.
 *
 * RAM: /proc/iomem, whose addresses only root sees; else the device tree's memory nodes up to `mem=`. Reserved: the
 * device tree's reserved-memory nodes (not `reusable` ones, which Linux uses itself) and what /proc/iomem calls
 * reserved.
 */
export function whyLinuxOwns(files: SystemFiles, base: number, size: number): string | undefined {
  const iomem = readIomem(files);
  const ram = iomem.ram.length > 0 ? iomem.ram : memoryNodes(files);
  if (ram.length === 0) return 'neither /proc/iomem nor the device tree shows which memory is RAM';
  const reserved = [...reservedNodes(files), ...iomem.reserved];
  const used = ram
    .map(({ start, end }) => ({ start: Math.max(start, base), end: Math.min(end, base + size) }))
    .filter(({ start, end }) => start < end)
    .flatMap((range) => reserved.reduce(without, [range]));
  if (used.length === 0) return undefined;
  return `Linux uses ${used.map(({ start, end }) => `${hex(start)}..${hex(end - 1)}`).join(', ')}`;
}

/** What is left of ranges when one is taken out. */
function without(ranges: Range[], { start, end }: Range): Range[] {
  return ranges
    .flatMap((range) => [
      { start: range.start, end: Math.min(range.end, start) },
      { start: Math.max(range.start, end), end: range.end },
    ])
    .filter((range) => range.start < range.end);
}

function readIomem(files: SystemFiles): { ram: Range[]; reserved: Range[] } {
  const lines = (readText(files, '/proc/iomem') ?? '').split('\n').flatMap((line) => {
    const match = /^ *([0-9a-f]+)-([0-9a-f]+) : (.*)$/.exec(line);
    // Without the right to see them, the addresses read as zeros.
    if (match === null || Number.parseInt(match[2], 16) === 0) return [];
    const range = { start: Number.parseInt(match[1], 16), end: Number.parseInt(match[2], 16) + 1 };
    return [{ range, name: match[3].toLowerCase() }];
  });
  const named = (name: string) => lines.filter((line) => line.name === name).map(({ range }) => range);
  return { ram: named('system ram'), reserved: named('reserved') };
}

function memoryNodes(files: SystemFiles): Range[] {
  const limit = memLimit(files);
  return listDirectory(files, DEVICE_TREE)
    .filter((node) => /^memory(@|$)/.test(node))
    .flatMap((node) => readReg(files, `${DEVICE_TREE}/${node}/reg`, DEVICE_TREE))
    .map(({ start, end }) => ({ start, end: Math.min(end, limit) }))
    .filter(({ start, end }) => start < end);
}

/** `mem=384M` on the kernel's command line ends its RAM there. */
function memLimit(files: SystemFiles): number {
  const match = /(?:^|\s)mem=(\d+)([KMG]?)(?:\s|$)/i.exec(readText(files, '/proc/cmdline') ?? '');
  if (match === null) return Number.POSITIVE_INFINITY;
  return (
    Number(match[1]) *
    { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2].toUpperCase() as '' | 'K' | 'M' | 'G']
  );
}

function reservedNodes(files: SystemFiles): Range[] {
  const parent = `${DEVICE_TREE}/reserved-memory`;
  return listDirectory(files, parent)
    .map((node) => `${parent}/${node}`)
    .filter((node) => files.existsSync(`${node}/reg`) && !files.existsSync(`${node}/reusable`))
    .filter((node) => /^(ok|okay)?\0?$/.test(readText(files, `${node}/status`) ?? ''))
    .flatMap((node) => readReg(files, `${node}/reg`, parent));
}

/** A `reg` property: pairs of address and size, each of as many big-endian cells as the parent says. */
function readReg(files: SystemFiles, path: string, parent: string): Range[] {
  const cells = readCells(files, path);
  const addressCells = readCells(files, `${parent}/#address-cells`)[0] ?? 2;
  const sizeCells = readCells(files, `${parent}/#size-cells`)[0] ?? 1;
  const number = (from: number, count: number) =>
    cells.slice(from, from + count).reduce((value, cell) => value * 2 ** 32 + cell, 0);
  const step = addressCells + sizeCells;
  return Array.from({ length: Math.floor(cells.length / step) }, (_, i) => {
    const start = number(i * step, addressCells);
    return { start, end: start + number(i * step + addressCells, sizeCells) };
  });
}

function readCells(files: SystemFiles, path: string): number[] {
  try {
    const bytes = files.readFileSync(path);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: Math.floor(bytes.byteLength / 4) }, (_, i) => view.getUint32(i * 4));
  } catch {
    return [];
  }
}
