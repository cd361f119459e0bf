import { formatTable } from '../output/table.js';
import { formatShare } from '../output/units.js';
import { type Colour, type Line, line } from './line.js';

export const SORTS = ['state', 'age', 'tokens', 'pages'] as const;

/** How it is shown, by keys and by the terminal's width. */
export interface TopLook {
  readonly columns: number;
  /** What sequences are in the order of. */
  readonly sort: (typeof SORTS)[number];
  /** Whether units whose share says nothing are shown, and each lane by itself. */
  readonly allUnits: boolean;
  readonly help: boolean;
}

/** From here on there is room for everything side by side. */
export const WIDE = 100;
/** @param rightFrom the first column of numbers @param rightTo the one after the last */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  rightFrom: number,
  rightTo: number,
): Line[] {
  const columns = headings.map((heading, i) => ({ heading, right: i >= rightFrom && i < rightTo }));
  return formatTable(columns, rows)
    .split('\n')
    .map((text, i) => line({ text, colour: i === 0 ? 'faint' : undefined }));
}

/** A share as a bar and in figures; full bars are warm. */
export function bar(share: number, width: number): Line {
  const filled = Math.round(Math.min(1, share) * width);
  const colour: Colour = share > 0.9 ? 'warm' : 'good';
  return line(
    { text: '█'.repeat(filled), colour },
    { text: '░'.repeat(width - filled), colour: 'faint' },
    ` ${formatShare(share).padStart(7)}`,
  );
}
