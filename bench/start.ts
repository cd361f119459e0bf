import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BenchOptions, type BenchRow, median, row } from './row.js';

const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const COMMAND_LINES = [['--version'], ['--help'], ['no-such-command']];
/** A start takes a fraction of a second; a hung one must not hold the bench. */
const TIMEOUT_MS = 30_000;

/**
 * The start of the command line: what answers without doing work, against a bare Node.js process. Runs are paired, and every
 * median is of its pairs, so that a machine that gets busy slows both alike.
 */
export function benchStart({ quick, onNote }: BenchOptions): BenchRow[] {
  onNote('start');
  const rounds = quick ? 3 : 15;
  return COMMAND_LINES.map((args) => {
    const bare: number[] = [];
    const started: number[] = [];
    for (let i = 0; i < rounds; i++) {
      bare.push(millisecondsOf(['-e', '0']));
      started.push(millisecondsOf([MAIN, ...args]));
    }
    return row(`start of pynq-llm ${args.join(' ')}`, median(started), 'ms', median(bare));
  });
}

function millisecondsOf(args: readonly string[]): number {
  const started = performance.now();
  const { error, signal } = spawnSync(process.execPath, args, { stdio: 'ignore', timeout: TIMEOUT_MS });
  // The wrong command ends with a status of its own; a process that did not end by itself says nothing about time.
  if (error) throw error;
  if (signal) throw new Error(`node ${args.join(' ')} was ended by ${signal}`);
  return performance.now() - started;
}
