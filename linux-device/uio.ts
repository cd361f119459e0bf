import { listDirectory, readNumber, readText, type SystemFiles } from './system-files.js';

const CLASS = '/sys/class/uio';

/** One map of a UIO device, as /sys/class/uio/uioN/maps/mapM describes it. */
export interface UioMap {
  /** `/dev/uio0` */
  readonly device: string;
  /** Name of the UIO device, from the device tree's node. */
  readonly name: string;
  /** M of mapM; mmap finds the map at M pages. */
  readonly index: number;
  /** Physical address of the first byte. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * All maps of all UIO devices.
 * @throws PynqLlmError LINUX_SYSFS_UNREADABLE where sysfs is not as the kernel documents it
 */
export function listUioMaps(files: SystemFiles): UioMap[] {
  return listDirectory(files, CLASS).flatMap((device) => {
    const maps = `${CLASS}/${device}/maps`;
    return listDirectory(files, maps)
      .filter((map) => /^map\d+$/.test(map))
      .map((map) => ({
        device: `/dev/${device}`,
        name: readText(files, `${CLASS}/${device}/name`) ?? '',
        index: Number(map.slice(3)),
        address: readNumber(files, `${maps}/${map}/addr`),
        size: readNumber(files, `${maps}/${map}/size`),
      }));
  });
}

/** A map that covers a physical range, and where to find the range in it. */
export interface UioPlace {
  readonly map: UioMap;
  /** For mmap. */
  readonly offset: number;
  readonly length: number;
  /** Byte offset of the range in what is mapped. */
  readonly at: number;
}

/**
 * Finds a physical range among UIO maps. A mapping always starts at the page of the map's first byte: kernels since
 * 5.x report that page as the address, older ones the first byte itself.
 */
export function findInUio(
  maps: readonly UioMap[],
  base: number,
  size: number,
  pageSize: number,
): UioPlace | undefined {
  const map = maps.find((m) => m.address <= base && base + size <= m.address + m.size);
  if (map === undefined) return undefined;
  const at = base - Math.floor(map.address / pageSize) * pageSize;
  return { map, offset: map.index * pageSize, length: at + size, at };
}
