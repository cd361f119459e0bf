import type { RegisterWindow } from '../board/index.js';
import type { Mapper } from './mapper.js';
import { MappedWindow } from './register-window.js';
import { DEV_MEM } from './system-files.js';

/**
 * Lets `use` work on registers of the processor itself, through /dev/mem: for root, before an agent runs.
 * @param base a multiple of the page size @param size bytes
 * @throws PynqLlmError LINUX_KOFFI_MISSING, LINUX_OPEN_FAILED, LINUX_MAP_FAILED
 */
export function withProcessorRegisters<T>(
  { base, size }: { readonly base: number; readonly size: number },
  mapper: Mapper,
  use: (window: RegisterWindow) => T,
): T {
  const mapping = mapper.map({ path: DEV_MEM, offset: base, length: size, cached: false });
  const window = new MappedWindow('processor', base, size, { mapping, at: 0 });
  try {
    return use(window);
  } finally {
    window.close();
    mapping.unmap();
  }
}
