import { type MemoryRegion, reservation } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { DmaMemory, DmaRegion, MemoryAbsent } from './dma-memory.js';
import type { Mapper, Mapping } from './mapper.js';
import { whyLinuxOwns } from './memory-map.js';
import { DEV_MEM, hex, type SystemFiles, sizeText } from './system-files.js';
import { findInUio, type UioMap } from './uio.js';

/**
 * The DMA memory of the board description, kept from Linux and mapped without the CPU's cache: what UIO devices cover
 * of it, or all of it through /dev/mem where that is allowed.
 *
 * @param wanted the description's DMA memory
 * @param devmem whether /dev/mem may be used
 * @throws PynqLlmError LINUX_MEMORY_NOT_RESERVED, LINUX_OPEN_FAILED, LINUX_MAP_FAILED
 */
export function openReservedMemory(
  wanted: readonly MemoryRegion[],
  files: SystemFiles,
  mapper: Mapper,
  uio: readonly UioMap[],
  devmem: boolean,
): DmaMemory | MemoryAbsent {
  const regions: UncachedRegion[] = [];
  const close = () => {
    for (const region of regions) region.unmap();
  };
  try {
    for (const piece of wanted) {
      const covered = uio.flatMap((map) => overlap(map, piece) ?? []);
      if (covered.length > 0)
        for (const { base, size } of covered) regions.push(openUio(base, size, files, mapper, uio));
      else if (devmem) regions.push(openDevMem(piece.base, piece.size, files, mapper));
    }
  } catch (error) {
    close();
    throw error;
  }
  if (regions.length > 0)
    return { kind: 'reserved', detail: regions.map(({ detail }) => detail).join(', '), regions, close };
  const places = wanted.map(({ base, size }) => `${sizeText(size)} at ${hex(base)}`).join(', ');
  return { absent: `no UIO device in the reserved memory (${places}), and /dev/mem is not allowed` };
}

/** What a UIO map covers of a piece of memory. */
function overlap(map: UioMap, piece: MemoryRegion): MemoryRegion | undefined {
  const base = Math.max(map.address, piece.base);
  const size = Math.min(map.address + map.size, piece.base + piece.size) - base;
  return size > 0 ? { base, size } : undefined;
}

function openUio(
  base: number,
  size: number,
  files: SystemFiles,
  mapper: Mapper,
  uio: readonly UioMap[],
): UncachedRegion {
  requireReserved(files, base, size);
  const { map, offset, length, at } = findInUio(uio, base, size, mapper.pageSize)!;
  const mapping = mapper.map({ path: map.device, offset, length, cached: false });
  return new UncachedRegion(base, size, mapping, at, map.device);
}

function openDevMem(base: number, size: number, files: SystemFiles, mapper: Mapper): UncachedRegion {
  requireReserved(files, base, size);
  return new UncachedRegion(
    base,
    size,
    mapper.map({ path: DEV_MEM, offset: base, length: size, cached: false }),
    0,
    DEV_MEM,
  );
}

/** What DMA writes there would destroy Linux, or be destroyed by it. */
function requireReserved(files: SystemFiles, base: number, size: number): void {
  const why = whyLinuxOwns(files, base, size);
  if (why === undefined) return;
  throw new PynqLlmError(
    'LINUX_MEMORY_NOT_RESERVED',
    `The ${sizeText(size)} at ${hex(base)} that the board description gives to DMA are not reserved: ${why}. Boot with mem=${base / 2 ** 20}M, or reserve them in the device tree: ${reservation(base, size)}`,
    { context: { base, size, why } },
  );
}

class UncachedRegion implements DmaRegion {
  readonly caches = undefined;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly detail: string;

  readonly #mapping: Mapping;

  constructor(
    readonly base: number,
    readonly size: number,
    mapping: Mapping,
    at: number,
    device: string,
  ) {
    this.#mapping = mapping;
    this.bytes = mapping.bytes.subarray(at, at + size);
    this.words = mapping.words.subarray(at / 4, (at + size) / 4);
    this.detail = `${device} (${sizeText(size)} at ${hex(base)})`;
  }

  unmap(): void {
    this.#mapping.unmap();
  }
}
