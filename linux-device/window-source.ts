import type { BoardDescription } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { Mapper, Mapping } from './mapper.js';
import { MappedWindow } from './register-window.js';
import { DEV_MEM, hex, type SystemFiles } from './system-files.js';
import { findInUio, type UioMap } from './uio.js';

/** The register windows of a board and what they are mapped from. */
export interface OpenWindows {
  readonly windows: ReadonlyMap<string, MappedWindow>;
  /** The device node behind each window. */
  readonly devices: Readonly<Record<string, string>>;
  close(): void;
}

/**
 * Maps the register windows that the board description declares, and nothing else. No register is accessed.
 *
 * @param devmem whether /dev/mem may be used where no UIO device covers a window
 * @throws PynqLlmError LINUX_WINDOW_NOT_FOUND, LINUX_OPEN_FAILED, LINUX_MAP_FAILED
 */
export function openWindows(
  description: BoardDescription,
  files: SystemFiles,
  mapper: Mapper,
  uio: readonly UioMap[],
  devmem: boolean,
): OpenWindows {
  const mappings: Mapping[] = [];
  const windows = new Map<string, MappedWindow>();
  const devices: Record<string, string> = {};
  const close = () => {
    for (const window of windows.values()) window.close();
    for (const mapping of mappings) mapping.unmap();
  };
  try {
    for (const [name, { base, size }] of Object.entries(description.windows)) {
      const place = findInUio(uio, base, size, mapper.pageSize);
      if (place === undefined && !devmem) throw notFound(name, base, size, files, uio);
      const path = place?.map.device ?? DEV_MEM;
      const { offset, length, at } = place ?? { offset: base, length: size, at: 0 };
      const mapping = mapper.map({ path, offset, length, cached: false });
      mappings.push(mapping);
      windows.set(name, new MappedWindow(name, base, size, { mapping, at }));
      devices[name] = path;
    }
  } catch (error) {
    close();
    throw error;
  }
  return { windows, devices, close };
}

function notFound(
  name: string,
  base: number,
  size: number,
  files: SystemFiles,
  uio: readonly UioMap[],
): PynqLlmError {
  const seen = uio.map((map) => `${map.device} ${map.name} (${hex(map.size)} bytes at ${hex(map.address)})`);
  const found = files.existsSync('/sys/class/uio')
    ? `there ${seen.length > 0 ? `are ${seen.join(', ')}` : 'is none'}`
    : 'the kernel has no UIO: modprobe uio_pdrv_genirq of_id=generic-uio';
  const node = `${name}@${base.toString(16)} { compatible = "generic-uio"; reg = <${hex(base)} ${hex(size)}>; };`;
  return new PynqLlmError(
    'LINUX_WINDOW_NOT_FOUND',
    `No UIO device covers the window ${name}, ${hex(size)} bytes at ${hex(base)}; ${found}. Device tree node: ${node}`,
    { context: { window: name, base, size, devices: seen } },
  );
}
