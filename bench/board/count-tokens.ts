import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CountingEmulator } from './emulator.js';
import { PARTS, type Part } from './parts.js';
import type { CountedWindow, TokenRun, TokenTask, TokenTraffic } from './run-tokens.js';

const CHILD = fileURLToPath(new URL('./token-child.js', import.meta.url));

/** Armv7 instructions of one token on the engine's thread. */
export interface TokenCount {
  readonly context: number;
  readonly total: number;
  /** The total's parts, counted in windows of their own; what marking them cost is taken off. They add up to it within 2 %. */
  readonly parts: Readonly<Record<Part, number>>;
  /** The window with the most instructions against the one with the fewest: garbage collection, late compilation. */
  readonly spread: number;
}

export interface TokenCounts {
  readonly counts: readonly TokenCount[];
  readonly traffic: TokenTraffic;
  readonly tensors: TokenRun['tensors'];
  readonly stagedBytes: number;
}

/** Counts a task's tokens under the emulator. */
export async function countTokens(
  emulator: CountingEmulator,
  asked: Omit<TokenTask, 'countsFile'>,
  timeoutMs: number,
): Promise<TokenCounts> {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-count-'));
  try {
    const file = join(folder, 'counts');
    const task: TokenTask = { ...asked, countsFile: file };
    const printed = await emulator.run(CHILD, [JSON.stringify(task)], file, timeoutMs);
    const run = JSON.parse(printed) as TokenRun;
    const windows = readWindows(readFileSync(file, 'utf8'));
    const counted = run.windows.map((window, i) => ({ window, phases: windows[i] ?? [] }));
    const mark = costOfMark(counted);
    const counts = task.contexts.map((context) => countOf(context, task.tokens, counted, mark));
    const { traffic, tensors, stagedBytes } = run;
    return { counts, traffic, tensors, stagedBytes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Instructions by phase. */
type Phases = readonly number[];
type Counted = { readonly window: CountedWindow; readonly phases: Phases };

/** By window, from the counter's lines "window phase instructions". */
function readWindows(text: string): Phases[] {
  const windows: number[][] = [];
  for (const line of text.trim().split('\n')) {
    const [window, phase, instructions] = line.split(' ').map(Number);
    windows[window] ??= PARTS.map(() => 0);
    windows[window][phase] = instructions;
  }
  return windows;
}

interface MarkCost {
  readonly within: number;
  readonly outside: number;
}

function costOfMark(counted: readonly Counted[]): MarkCost {
  const { window, phases } = counted.find((one) => one.window.kind === 'marks')!;
  const calls = window.kind === 'marks' ? window.calls : 1;
  const within = phases[PARTS.indexOf('driver')] / calls;
  return { within, outside: sum(phases) / calls - within };
}

function countOf(context: number, tokens: number, counted: readonly Counted[], mark: MarkCost): TokenCount {
  const totals: number[] = [];
  const parts: number[][] = [];
  for (const { window, phases } of counted) {
    if (!('context' in window) || window.context !== context) continue;
    if (window.kind === 'total') totals.push(sum(phases) / tokens);
    else
      parts.push(
        phases.map(
          (instructions, i) =>
            (instructions - window.calls[i] * mark.within - window.callsFrom[i] * mark.outside) / tokens,
        ),
      );
  }
  return {
    context,
    total: middle(totals),
    parts: Object.fromEntries(PARTS.map((part, i) => [part, middle(parts.map((one) => one[i]))])) as Record<
      Part,
      number
    >,
    spread: Math.max(...totals) / Math.min(...totals),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
