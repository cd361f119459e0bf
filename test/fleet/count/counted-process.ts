import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CountingEmulator } from '../../../bench/board/emulator.js';

const WINDOWS_ON_SIGNAL = fileURLToPath(new URL('./windows-main.js', import.meta.url));
const LOOK_MS = 20;
/** A program that is in the middle of something long hears of a signal when that has ended. */
const SIGNAL_MS = 120_000;

const MOST_WARM = 12;

/**
 * Counts again and again until V8 has compiled what runs often: until the last three lie within `spread` times the least of them, or
 * twelve times. @returns the last count
 */
export async function countSettled(count: () => Promise<number>, spread: number): Promise<number> {
  const counts: number[] = [];
  const isSettled = (last: readonly number[]) =>
    last.length === 3 && Math.max(...last) <= spread * Math.min(...last);
  while (counts.length < MOST_WARM && !isSettled(counts.slice(-3))) counts.push(await count());
  return counts.at(-1)!;
}

/** Armv7 instructions of a program's main thread, garbage collection included, between two moments. */
export class CountedProcess {
  /** The start of the command line that runs it. */
  readonly node: readonly string[];
  readonly #file: string;
  #windows = 0;
  #beganMs = 0;

  /** @param folder where counts are written */
  constructor(emulator: CountingEmulator, folder: string) {
    this.#file = join(folder, 'counts');
    this.node = [...emulator.commandOf(this.#file), '--single-threaded-gc', '--import', WINDOWS_ON_SIGNAL];
  }

  /** Ends a window, and begins the next. */
  async cut(pid: number): Promise<{ readonly instructions: number; readonly seconds: number }> {
    process.kill(pid, 'SIGUSR2');
    const window = this.#windows++;
    for (const end = performance.now() + SIGNAL_MS; ; await delay(LOOK_MS)) {
      const counted = this.#read().filter(([of]) => of === window);
      const [last] = this.#read().slice(-1);
      // It is written in one piece, by phases; there is one.
      if (counted.length > 0 && last![0] === window) {
        const now = performance.now();
        const seconds = (now - this.#beganMs) / 1_000;
        this.#beganMs = now;
        return { instructions: counted.reduce((sum, [, , count]) => sum + count!, 0), seconds };
      }
      if (performance.now() > end) throw new Error(`no counts came within ${SIGNAL_MS} ms`);
    }
  }

  #read(): number[][] {
    if (!existsSync(this.#file)) return [];
    const text = readFileSync(this.#file, 'utf8');
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ').map(Number));
  }
}
