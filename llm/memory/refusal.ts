import { type ErrorContext, PynqLlmError } from '../../errors/index.js';
import { type BudgetInput, type MemorySum, placeModel, sumMemory } from './budget.js';
import { whatFits } from './what-fits.js';

/** A sum with its table, and what would fit where the model does not. Plain data. */
export interface MemoryBudget extends MemorySum {
  /** The sum as text, a line each, in MiB. */
  readonly table: string;
  /** Changes each of which makes the model fit. */
  readonly fits: readonly string[];
  /** Code of the error that loading ends with. */
  readonly refusal: 'LLM_MEMORY_DMA' | 'LLM_MEMORY_SYSTEM' | undefined;
}

const REFUSALS = { dma: 'LLM_MEMORY_DMA', system: 'LLM_MEMORY_SYSTEM' } as const;
const TITLES = { dma: 'DMA memory', system: "Linux's memory" } as const;

/** What a model takes on a board, whether it fits and what would. Pure. @throws PynqLlmError LLM_KV_TYPE, LLM_CORE_TYPES */
export function budgetMemory(input: BudgetInput): MemoryBudget {
  const weights = placeModel(input);
  const sum = sumMemory(input, weights);
  const { short } = sum;
  return {
    ...sum,
    table: tableOf(sum),
    fits: short === undefined ? [] : whatFits(input, sum, weights),
    refusal: short && REFUSALS[short],
  };
}

/** @throws PynqLlmError LLM_MEMORY_DMA, LLM_MEMORY_SYSTEM where the model does not fit */
export function requireMemory(budget: MemoryBudget): void {
  const { short, refusal, fits, table } = budget;
  if (short === undefined || refusal === undefined) return;
  const { need, available } = budget[short];
  const missing = Math.max(0, need - available);
  // With enough in all, but in several pieces, a tensor may still find no piece.
  const gap =
    missing > 0 ? `${mebibytes(missing)} MiB more than there are` : 'in larger pieces than there are';
  const what = `${budget.model} needs ${mebibytes(need)} MiB of ${TITLES[short]} on ${budget.board}, ${gap}.\n${table}\n`;
  throw new PynqLlmError(refusal, what, {
    context: contextOf(budget, short),
    remedy:
      fits.length === 0
        ? 'No smaller form of this model fits this board either: use a smaller model.'
        : `It would fit: ${fits.map((one, i) => `(${i + 1}) ${one}`).join('; ')}.`,
  });
}

/** The table as data that an error may have: lists side by side. */
function contextOf(budget: MemoryBudget, short: 'dma' | 'system'): ErrorContext {
  const { lines, fits, board } = budget;
  return {
    board,
    needed: budget[short].need,
    available: budget[short].available,
    parts: lines.map(({ of, what }) => `${of}: ${what}`),
    bytes: lines.map(({ bytes }) => bytes),
    fits,
  };
}

function tableOf({ lines, dma, system, stagedBytes, stagedSeconds }: MemorySum): string {
  const part = (of: 'dma' | 'system', source: string): (readonly [string, string])[] => {
    const { need, available } = { dma, system }[of];
    const short = need - available;
    return [
      [TITLES[of], 'MiB'],
      ...lines
        .filter((line) => line.of === of)
        .map(({ what, bytes }) => [`  ${what}`, mebibytes(bytes)] as const),
      ['  needed', mebibytes(need)],
      [`  available${source}`, mebibytes(available)],
      ...(short > 0 ? ([['  short of', mebibytes(short)]] as const) : []),
    ];
  };
  const staged: (readonly [string, string])[] =
    stagedBytes === 0
      ? []
      : [
          ['Staged: read for each step', mebibytes(stagedBytes)],
          ...(stagedSeconds > 0 ? ([['  seconds of it at 20 MB/s', stagedSeconds.toFixed(1)]] as const) : []),
        ];
  const rows = [...part('dma', ''), ...part('system', `, ${system.source}`), ...staged];
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, figure]) => `${what.padEnd(width)}  ${figure.padStart(8)}`).join('\n');
}

function mebibytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / 2 ** 20).toFixed(1) : 'any';
}
