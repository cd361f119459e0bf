import { matMulCycles, type TimedCore, tileCycles } from '../../board/index.js';
import { rowsPerTile } from '../../driver/index.js';
import type { CoreType } from '../../gguf/index.js';

/** The core of KV260 and PYNQ-Z1 as their board files have it. */
const CORE = { weightBlocks: 1024, inputBlocks: 512, clockHz: 100e6 } as const;
const SUPER_BLOCK = 256;

/** TinyLlama-1.1B in Q3_K_S: matrices that share an input stand together. */
const LAYERS = 22;
const QUERY: readonly Matrix[] = [{ rows: 2048, inputs: 2048, type: 3 }];
const KEYS_VALUES: readonly Matrix[] = [
  { rows: 256, inputs: 2048, type: 3 },
  { rows: 256, inputs: 2048, type: 3 },
];
const AFTER_ATTENTION: readonly (readonly Matrix[])[] = [
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

/** What steps of TinyLlama-1.1B in Q3_K_S cost on one core, weights resident. */
export class StepCost {
  readonly #known = new Map<string, number>();
  readonly #core: TimedCore;

  constructor(core: TimedCore) {
    this.#core = core;
  }

  /**
   * Core cycles of a step, by the formulas of its timing.
   * @param logits columns that want logits: only they go through the end of the last layer and the output matrix
   */
  cycles(columns: number, logits = columns): number {
    const key = `${columns}/${logits}`;
    const before = this.#known.get(key);
    if (before !== undefined) return before;
    const layer = this.#group([...QUERY, ...KEYS_VALUES], columns) + this.#groups(AFTER_ATTENTION, columns);
    const lastAttention =
      logits === columns
        ? this.#group([...QUERY, ...KEYS_VALUES], columns)
        : this.#group(KEYS_VALUES, columns) + this.#group(QUERY, logits);
    const last = lastAttention + this.#groups([...AFTER_ATTENTION, OUTPUT], logits);
    const cycles = (LAYERS - 1) * layer + last;
    this.#known.set(key, cycles);
    return cycles;
  }

  ms(columns: number, logits = columns): number {
    return (this.cycles(columns, logits) / CORE.clockHz) * 1_000;
  }

  #groups(groups: readonly (readonly Matrix[])[], columns: number): number {
    return groups.reduce((sum, group) => sum + this.#group(group, columns), 0);
  }

  /** Columns beyond what the core's input memory holds go in further runs, each of which loads the weights again. */
  #group(group: readonly Matrix[], columns: number): number {
    const kb = group[0]!.inputs / SUPER_BLOCK;
    const perRun = Math.floor(CORE.inputBlocks / kb);
    let cycles = 0;
    for (let first = 0; first < columns; first += perRun)
      for (const [i, { rows, type }] of group.entries()) {
        const cost = {
          core: this.#core,
          coreType: type,
          kb,
          rows,
          columns: Math.min(perRun, columns - first),
          rowsPerTile: rowsPerTile(kb, CORE.weightBlocks),
        };
        cycles += i === 0 ? matMulCycles(cost) : tileCycles(cost);
      }
    return cycles;
  }
}

/** The timings in which policies are simulated: the synthesised core's at both ends of what its unpacker may take, and the model's. */
export const STEP_COSTS = {
  synthesised: new StepCost({ revision: 'v3', timing: 'synthesised', unpack: 'words' }),
  'synthesised, unpack=hls': new StepCost({ revision: 'v3', timing: 'synthesised', unpack: 'hls' }),
  systemc: new StepCost({ revision: 'v3', timing: 'systemc', unpack: 'words' }),
} as const;
