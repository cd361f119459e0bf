import { syntheticModel } from '../synthetic-model.js';
import { countTokens, type TokenCounts } from './count-tokens.js';
import { type Missing, openEmulator } from './emulator.js';
import type { NullMemory } from './null-system.js';

export type { Missing } from './emulator.js';
export type { NullMemory } from './null-system.js';

const MIB = 2 ** 20;
const COUNT_MS = 3600_000;

export interface BoardBenchOptions {
  /** The small model instead of TinyLlama-1.1B's dimensions. */
  readonly small: boolean;
  readonly memory: readonly NullMemory[];
  /** Tokens that the counted token sees, itself included. */
  readonly contexts: readonly number[];
  /** A GGUF file instead of the synthetic ones; it has to fit the memory that the null device has for them. */
  readonly file?: string | undefined;
  readonly onNote: (what: string) => void;
}

export interface BoardBenchResult {
  readonly file: string;
  readonly runs: readonly (TokenCounts & { readonly memory: NullMemory })[];
}

/**
 * Counts the armv7 instructions of a decoded token, by part, on a device that takes no time: what the board's own processor
 * has to do. Memory of each kind in turn; all weights resident, keys and values as F16, everything on one thread.
 */
export async function benchBoard(options: BoardBenchOptions): Promise<BoardBenchResult | Missing> {
  const emulator = await openEmulator();
  if ('missing' in emulator) return emulator;
  const { small } = options;
  if (options.file === undefined && !small)
    options.onNote('board: the synthetic model (475 MiB, kept in the temporary folder)');
  const file = options.file ?? syntheticModel(small);
  const contexts = options.contexts.toSorted((a, b) => a - b);
  const runs = [];
  for (const memory of options.memory) {
    options.onNote(`board: counting with ${memory} memory, contexts ${contexts.join(', ')}`);
    const task = small
      ? { file, memory, contexts, dmaBytes: 32 * MIB, warmUp: 24, windows: 5, tokens: 2 }
      : { file, memory, contexts, dmaBytes: 640 * MIB, warmUp: 6, windows: 3, tokens: 1 };
    runs.push({ memory, ...(await countTokens(emulator, task, COUNT_MS)) });
  }
  return { file, runs };
}
