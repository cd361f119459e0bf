import { loadBoardDescription } from '../../board/index.js';
import {
  MOBILE_LLM_125M,
  type ModelShape,
  syntheticModel,
  TINY_LLAMA_Q2_K,
  TINY_LLAMA_Q3_K_S,
} from '../synthetic-model.js';
import { CORTEX_A9, CORTEX_A53, type ProcessorAssumptions, type Span } from './assumptions.js';
import type { TokenCounts } from './count-tokens.js';
import type { NullMemory } from './null-system.js';
import { type ProjectedLine, project, total } from './projection.js';

const MIB = 2 ** 20;
const ROOM = 640 * MIB;
const CONTEXTS = [40, 256, 1024];

/** A model on a board, and the time that it takes for a token. */
export interface ProjectedBoard {
  readonly title: string;
  readonly note: string;
  /** What its makers published of such a board. */
  readonly published: string;
  readonly contexts: readonly {
    readonly context: number;
    readonly instructions: number;
    readonly lines: readonly ProjectedLine[];
    readonly seconds: Span;
  }[];
}

interface Case {
  readonly title: string;
  readonly note: string;
  readonly published: string;
  readonly board: string;
  readonly processor: ProcessorAssumptions;
  readonly memory: NullMemory;
  readonly dmaBytes: number;
  readonly model: ModelShape;
  readonly contexts: readonly number[];
}

const Z1 = { board: 'pynq-z1', processor: CORTEX_A9, memory: 'reserved' } as const;
const KV260 = { board: 'kv260-2026-v3', processor: CORTEX_A53, memory: 'u-dma-buf' } as const;
const PUBLISHED_Z1 = '1.7 s a token (PYNQ-Z1, TinyLlama)';

const CASES: readonly Case[] = [
  {
    ...Z1,
    title: 'PYNQ-Z1, TinyLlama-1.1B Q2_K, resident',
    note: 'with 360 MiB of DMA memory',
    published: PUBLISHED_Z1,
    dmaBytes: ROOM,
    model: TINY_LLAMA_Q2_K,
    contexts: CONTEXTS,
  },
  {
    ...Z1,
    title: 'PYNQ-Z1, TinyLlama-1.1B Q3_K_S, resident',
    note: 'hypothetical: it does not fit 512 MiB',
    published: PUBLISHED_Z1,
    dmaBytes: ROOM,
    model: TINY_LLAMA_Q3_K_S,
    contexts: CONTEXTS,
  },
  {
    ...Z1,
    title: 'PYNQ-Z1, TinyLlama-1.1B Q3_K_S, staged',
    note: 'with 128 MiB of DMA memory; the rest is read from the card in each token',
    published: PUBLISHED_Z1,
    dmaBytes: 128 * MIB,
    model: TINY_LLAMA_Q3_K_S,
    contexts: [256],
  },
  {
    ...KV260,
    title: 'KV260, TinyLlama-1.1B Q3_K_S, resident',
    note: 'the bitstream of 2026 at 200 MHz',
    published: 'nothing',
    dmaBytes: ROOM,
    model: TINY_LLAMA_Q3_K_S,
    contexts: CONTEXTS,
  },
  {
    ...KV260,
    title: 'KV260, MobileLLM-125M Q2_K, ffn_down on the core',
    note: 'the bitstream of 2026 at 200 MHz; all other matrices Q8_0 on the processor, one thread',
    published: '6.43 tokens/s (KV260, MobileLLM-125M Q2_K, 30 of 30 ffn_down on the core)',
    dmaBytes: ROOM,
    model: MOBILE_LLM_125M,
    contexts: [40],
  },
];

/** Counts tokens of a file; the same question has the same answer. */
export type CountFile = (
  file: string,
  memory: NullMemory,
  dmaBytes: number,
  contexts: readonly number[],
) => Promise<TokenCounts>;

/** Projects all cases. What is counted does not depend on the type of the weights, only on their shapes and place. */
export async function projectBoards(countFile: CountFile): Promise<ProjectedBoard[]> {
  const counted = new Map<string, TokenCounts>();
  const projected: ProjectedBoard[] = [];
  for (const one of CASES) {
    const { memory, dmaBytes, contexts } = one;
    const model = one.model === TINY_LLAMA_Q2_K ? TINY_LLAMA_Q3_K_S : one.model;
    const key = [model.name, memory, dmaBytes].join(' ');
    const counts = counted.get(key) ?? (await countFile(syntheticModel(model), memory, dmaBytes, contexts));
    counted.set(key, counts);
    projected.push(projectCase(one, counts));
  }
  return projected;
}

function projectCase({ title, note, published, ...one }: Case, counts: TokenCounts): ProjectedBoard {
  const board = loadBoardDescription(one.board);
  const contexts = counts.counts.map((count) => {
    const lines = project({
      board,
      processor: one.processor,
      model: one.model,
      instructions: count.total,
      traffic: counts.traffic,
      memory: one.memory,
      stagedBytes: counts.stagedBytes,
    });
    return { context: count.context, instructions: count.total, lines, seconds: total(lines) };
  });
  return { title, note, published, contexts };
}
