import { availableParallelism } from 'node:os';
import type { Board } from '../../board/index.js';
import type { PlacementReport, TensorShape } from '../../driver/index.js';
import {
  type MemoryBudget,
  type MemoryRequest,
  MOST_THREADS,
  rateOfRows,
  rowShares,
} from '../../llm/index.js';

/** How the CPU's cores are to take part. */
export interface CpuSettings {
  /** Of each model, the device's thread among them; as many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** Whether what the device computes takes time; false unless given: rows are then all the core's. */
  readonly takesRealTime?: boolean | undefined;
}

/** What they take part in, and what the model then takes of the memory. */
export interface CpuPart {
  readonly threads: number;
  /** Rows of matrices, the last ones, by name. */
  readonly rows: ReadonlyMap<string, number>;
  readonly budget: MemoryBudget;
}

const NO_ROWS: ReadonlyMap<string, number> = new Map();

/**
 * As much as there is memory for: threads that nobody asked for only where they fit, and rows only where they leave keys and values
 * what these would have had.
 *
 * @param matrices as the core has them
 */
export function chooseCpuPart(
  { threads: asked, takesRealTime = false }: CpuSettings,
  matrices: () => readonly TensorShape[],
  plan: (matrices: readonly TensorShape[]) => PlacementReport,
  board: Board['description'],
  budgetOf: (part: Pick<MemoryRequest, 'threads' | 'threadRows'>) => MemoryBudget,
): CpuPart {
  const threads = asked ?? Math.min(availableParallelism(), MOST_THREADS);
  const budget = budgetOf({ threads });
  if (budget.short === 'system' && asked === undefined && threads > 1)
    return { threads: 1, rows: NO_ROWS, budget: budgetOf({ threads: 1 }) };
  if (threads === 1 || !takesRealTime || budget.short !== undefined)
    return { threads, rows: NO_ROWS, budget };
  const shapes = matrices();
  const shares = rowShares(shapes, plan(shapes), board, (type) => (threads - 1) * rateOfRows(type));
  const withRows = budgetOf({ threads, threadRows: shares });
  const fits = withRows.short === undefined && withRows.kvBytes >= budget.kvBytes;
  return fits ? { threads, rows: shares.rows, budget: withRows } : { threads, rows: NO_ROWS, budget };
}
