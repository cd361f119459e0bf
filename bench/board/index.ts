import { SMALL, syntheticModel, TINY_LLAMA_Q3_K_S } from '../synthetic-model.js';
import { countTokens, type TokenCounts } from './count-tokens.js';
import { type CountingEmulator, type Missing, openEmulator } from './emulator.js';
import type { NullMemory } from './null-system.js';
import { type ProjectedBoard, projectBoards } from './projected-boards.js';
import type { TokenTask } from './run-tokens.js';

export type { Missing } from './emulator.js';
export type { NullMemory } from './null-system.js';
export type { ProjectedBoard } from './projected-boards.js';

const MIB = 2 ** 20;
const COUNT_MS = 3600_000;

export interface BoardBenchOptions {
  /** The small model instead of TinyLlama-1.1B's dimensions. */
  readonly small: boolean;
  readonly memory: readonly NullMemory[];
  /** Tokens that the counted token sees, itself included. */
  readonly contexts: readonly number[];
  /** A GGUF file instead of the synthetic ones. */
  readonly file?: string | undefined;
  /** Bytes of DMA memory; what does not fit is staged. */
  readonly dmaBytes?: number | undefined;
  readonly onNote: (what: string) => void;
}

export interface BoardBenchResult {
  readonly file: string;
  readonly runs: readonly (TokenCounts & { readonly memory: NullMemory })[];
}

/**
 * Counts the armv7 instructions of a decoded token, by part, on a device that takes no time: what the board's own processor
 * has to do. Memory of each kind in turn; keys and values as F16, everything on one thread.
 */
export async function benchBoard(options: BoardBenchOptions): Promise<BoardBenchResult | Missing> {
  const emulator = await openEmulator();
  return 'missing' in emulator ? emulator : await count(emulator, options);
}

async function count(emulator: CountingEmulator, options: BoardBenchOptions): Promise<BoardBenchResult> {
  const { small, onNote } = options;
  if (options.file === undefined && !small)
    onNote('board: the synthetic model (475 MiB, kept in the temporary folder)');
  const file = options.file ?? syntheticModel(small ? SMALL : TINY_LLAMA_Q3_K_S);
  const contexts = options.contexts.toSorted((a, b) => a - b);
  const dmaBytes = options.dmaBytes ?? (small ? 32 : 640) * MIB;
  const runs = [];
  for (const memory of options.memory) {
    onNote(`board: counting with ${memory} memory, contexts ${contexts.join(', ')}`);
    const times: Pick<TokenTask, 'warmUp' | 'windows' | 'tokens'> = small
      ? { warmUp: [160, 320], windows: 5, tokens: 4 }
      : { warmUp: [4, 20], windows: 3, tokens: 1 };
    const task = { file, memory, contexts, dmaBytes, ...times };
    runs.push({ memory, ...(await countTokens(emulator, task, COUNT_MS)) });
  }
  return { file, runs };
}

/** The times of a token on boards, from what is counted here and assumed of them. */
export async function benchProjection(
  onNote: BoardBenchOptions['onNote'],
): Promise<readonly ProjectedBoard[] | Missing> {
  const emulator = await openEmulator();
  if ('missing' in emulator) return emulator;
  return projectBoards(async (file, memory, dmaBytes, contexts) => {
    const options = { small: false, file, memory: [memory], dmaBytes, contexts, onNote };
    return (await count(emulator, options)).runs[0];
  });
}
