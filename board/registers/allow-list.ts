import type { BoardDescription } from '../description.js';
import { AXI_DMA_TABLE } from './axi-dma.js';
import { CONTROL_TABLES } from './control.js';
import { hwcTable } from './hwc.js';
import type { Register, RegisterTable } from './register.js';

/** A register at its place on a board. */
export interface PlacedRegister {
  readonly window: string;
  readonly name: string;
  /** Physical address. */
  readonly address: number;
  readonly register: Register;
}

/** The table of a window by its name: `control`, `hwc`, `dma0`..`dma3`; undefined where the board has no such window. */
export function windowTable(description: BoardDescription, window: string): RegisterTable | undefined {
  if (!Object.hasOwn(description.windows, window)) return undefined;
  if (window === 'control') return CONTROL_TABLES[description.revision];
  if (window === 'hwc') return hwcTable(description);
  return /^dma[0-3]$/.test(window) ? AXI_DMA_TABLE : undefined;
}

/**
 * Every register that may be touched on this board, in the order of windows and offsets: nothing else ever is,
 * because reading logic that is not there hangs the whole processor.
 */
export function listRegisters(description: BoardDescription): readonly PlacedRegister[] {
  return Object.entries(description.windows).flatMap(([window, { base, size }]) =>
    Object.entries(windowTable(description, window)?.registers ?? {})
      .filter(([, register]) => register.offset + 4 <= size)
      .sort(([, a], [, b]) => a.offset - b.offset)
      .map(([name, register]) => ({ window, name, address: base + register.offset, register })),
  );
}

/**
 * The register of a window at a byte offset, or undefined where there is none.
 * @param offset bytes from the window's base
 */
export function registerAt(
  description: BoardDescription,
  window: string,
  offset: number,
): PlacedRegister | undefined {
  return listRegisters(description).find(
    (placed) => placed.window === window && placed.register.offset === offset,
  );
}
