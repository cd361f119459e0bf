import { matMulCycles, rowsPerTile, tileCycles } from '../../driver/index.js';
import type { CoreType } from '../../gguf/index.js';

/** The core of KV260 and PYNQ-Z1 as their board files have it. */
const CORE = { revision: 'v3', weightBlocks: 1024, inputBlocks: 512, clockHz: 100e6 } as const;
const SUPER_BLOCK = 256;

/** TinyLlama-1.1B in Q3_K_S: matrices that share an input stand together. */
const LAYERS = 22;
const LAYER: readonly (readonly Matrix[])[] = [
  [
    { rows: 2048, inputs: 2048, type: 3 },
    { rows: 256, inputs: 2048, type: 3 },
    { rows: 256, inputs: 2048, type: 3 },
  ],
  [{ rows: 2048, inputs: 2048, type: 3 }],
  [
    { rows: 5632, inputs: 2048, type: 3 },
    { rows: 5632, inputs: 2048, type: 3 },
  ],
  [{ rows: 2048, inputs: 5632, type: 3 }],
];
const OUTPUT: readonly Matrix[] = [{ rows: 32_000, inputs: 2048, type: 6 }];

/** As many as llm/load-model.ts has unless told otherwise. */
export const MAX_COLUMNS = 64;

interface Matrix {
  readonly rows: number;
  readonly inputs: number;
  readonly type: CoreType;
}

const known = new Map<string, number>();

/**
 * Core cycles of a step of TinyLlama-1.1B in Q3_K_S, its weights resident, by the manual's formulas.
 * @param logits columns that want logits: only they go through the output matrix
 */
export function stepCycles(columns: number, logits = columns): number {
  const key = `${columns}/${logits}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const layer = LAYER.reduce((sum, group) => sum + groupCycles(group, columns), 0);
  const cycles = LAYERS * layer + groupCycles(OUTPUT, logits);
  known.set(key, cycles);
  return cycles;
}

export function cyclesToMs(cycles: number): number {
  return (cycles / CORE.clockHz) * 1_000;
}

/** Columns beyond what the core's input memory holds go in further runs, each of which loads the weights again. */
function groupCycles(group: readonly Matrix[], columns: number): number {
  const kb = group[0]!.inputs / SUPER_BLOCK;
  const perRun = Math.floor(CORE.inputBlocks / kb);
  let cycles = 0;
  for (let first = 0; first < columns; first += perRun)
    for (const [i, { rows, type }] of group.entries()) {
      const cost = {
        revision: CORE.revision,
        coreType: type,
        kb,
        rows,
        columns: Math.min(perRun, columns - first),
        rowsPerTile: rowsPerTile(kb, CORE.weightBlocks),
        resident: true,
      };
      cycles += i === 0 ? matMulCycles(cost) : tileCycles(cost);
    }
  return cycles;
}
