import type { Figures } from './figures.js';

const STEPS = '▁▂▃▄▅▆▇█';
/** Screens that are remembered: more than fit on any line. */
const MOST = 240;

/** What screens before showed, for sparklines. */
export class FigureHistory {
  readonly #figures: Figures[] = [];

  add(figures: Figures | undefined): void {
    if (figures === undefined) return;
    this.#figures.push(figures);
    if (this.#figures.length > MOST) this.#figures.shift();
  }

  /** The last values, the latest at the right end. @param most full height; the highest of them unless given */
  sparkline(value: (figures: Figures) => number, width: number, most?: number): string {
    return sparkline(this.#figures.slice(-width).map(value), most);
  }
}

/** A character of 8 heights for each value. */
export function sparkline(values: readonly number[], most = Math.max(...values, 0)): string {
  return values
    .map((value) => {
      const height = most > 0 ? Math.round((Math.max(0, value) / most) * (STEPS.length - 1)) : 0;
      return STEPS[Math.min(STEPS.length - 1, height)];
    })
    .join('');
}
