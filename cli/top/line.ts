import { harmless } from '../../errors/index.js';

/** Select Graphic Rendition: the terminal's own colours, so that themes decide how they look. */
const COLOURS = { strong: '1', faint: '2', good: '32', warm: '33', bad: '31', mark: '36' } as const;
export type Colour = keyof typeof COLOURS;

/** A part of a line, in one colour. */
export interface Piece {
  readonly text: string;
  readonly colour?: Colour | undefined;
}

/** A line of the screen, piece by piece. */
export type Line = readonly Piece[];

export function line(...pieces: readonly (Piece | string)[]): Line {
  return pieces.map((piece) => (typeof piece === 'string' ? { text: piece } : piece));
}

/** The pieces as text of at most `columns` characters, colours as escapes where wanted. Nothing else in it drives a terminal. */
export function drawLine(pieces: Line, columns: number, hasColours: boolean): string {
  let left = columns;
  let drawn = '';
  for (const { text, colour } of pieces) {
    const shown = [...harmless(text)].slice(0, left).join('');
    left -= [...shown].length;
    drawn += hasColours && colour !== undefined ? `\x1b[${COLOURS[colour]}m${shown}\x1b[0m` : shown;
  }
  return drawn;
}

/** Words with commas between them, as many on a line as it has room for. */
export function wrapped(parts: readonly string[], columns: number): Line[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + part.length + 2 < columns)
      lines[lines.length - 1] = `${last}, ${part}`;
    else {
      if (last !== undefined) lines[lines.length - 1] = `${last},`;
      lines.push(part);
    }
  }
  return lines.map((text) => line(text));
}

/** Whether colours are wanted (https://no-color.org): on a terminal, unless `NO_COLOR` is set to anything. */
export function wantsColours(
  stream: { readonly isTTY?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}
