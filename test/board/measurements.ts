import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** What a run of the suite has measured, in the order of its steps, for the table of docs/emulated-board.md. */
export class Measurements {
  readonly #rows: (readonly [string, string])[] = [];

  seconds(what: string, seconds: number): void {
    this.#rows.push([what, formatSeconds(seconds)]);
  }

  bytes(what: string, bytes: number): void {
    const mib = bytes / 2 ** 20;
    this.#rows.push([what, mib < 1 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(mib)} MiB`]);
  }

  /**
   * Times `action` and notes it.
   * @param cpuSeconds of a process, noted too where given: what a busy machine changes less
   */
  async time<T>(what: string, action: () => Promise<T>, cpuSeconds?: () => number): Promise<T> {
    const started = performance.now();
    const cpuBefore = cpuSeconds?.();
    const result = await action();
    const seconds = formatSeconds((performance.now() - started) / 1000);
    const cpu =
      cpuSeconds && cpuBefore !== undefined ? `, ${formatSeconds(cpuSeconds() - cpuBefore)} of CPU` : '';
    this.#rows.push([what, `${seconds}${cpu}`]);
    return result;
  }

  /** Writes the table as Markdown. */
  write(path: string): void {
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}`;
    const rows = this.#rows.map(([what, value]) => `| ${what} | ${value} |`);
    writeFileSync(path, [`On ${machine}:`, '', '| | |', '|---|---|', ...rows, ''].join('\n'));
  }
}

function formatSeconds(seconds: number): string {
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}
