import { harmless } from '../../errors/index.js';

/** A column: its heading and whether its cells line up to the right, as numbers do. */
export interface Column {
  readonly heading: string;
  readonly right?: boolean;
}

/**
 * Lays out rows of text under headings, two spaces between columns, no lines drawn. Ends without a line break. Cells may
 * come from outside: none makes lines of its own or drives the terminal.
 */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const headings = columns.map(({ heading }) => heading);
  const cleaned = rows.map((cells) => cells.map(harmless));
  const lines = headings.some(Boolean) ? [headings, ...cleaned] : cleaned;
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => cells[i]?.length ?? 0), 0));
  return lines
    .map((cells) =>
      columns
        .map(({ right }, i) =>
          right ? (cells[i] ?? '').padStart(widths[i]!) : (cells[i] ?? '').padEnd(widths[i]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Two columns without headings: what, and its value. */
export function formatFacts(facts: readonly (readonly [string, string])[]): string {
  return formatTable([{ heading: '' }, { heading: '' }], facts);
}
