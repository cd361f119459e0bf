import type { BoardDescription } from '../../board/index.js';
import { groupCycles, type TensorShape } from '../../driver/index.js';
import { type CoreTypesSetting, chooseForms } from '../core-form/index.js';
import type { LayerRange } from '../model/layer-range.js';
import type { LayerShape, StepShape } from './step-shape.js';

/**
 * Core cycles of a model's steps on a board, in the board's timing, all weights resident and rows left to the core: the one place
 * that adds them up for a model that is not loaded. Embeddings are looked up by the CPU and cost none.
 */
export class StepCost {
  readonly #known = new Map<string, number>();

  /** @param resultBytes see {@link groupCycles} @param coreTypes which matrices go to the core */
  constructor(
    readonly shape: StepShape,
    readonly board: BoardDescription,
    readonly resultBytes?: number,
    readonly coreTypes?: CoreTypesSetting,
  ) {}

  /**
   * Core cycles of a step.
   * @param logits columns that want logits: only they go through the end of the last layer and the output matrix
   * @param range layers of it, all unless given
   */
  cycles(columns: number, logits = columns, range?: LayerRange): number {
    const { layers } = this.shape;
    const { from, to } = range ?? { from: 0, to: layers.length };
    const key = `${columns}/${logits}/${from}/${to}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    let cycles = to === layers.length ? this.outputCycles(logits) : 0;
    for (let layer = from; layer < to; layer++)
      cycles += this.layerCycles(layer, columns, layer === layers.length - 1 ? logits : columns);
    this.#known.set(key, cycles);
    return cycles;
  }

  /** The same in milliseconds of the core's clock. */
  ms(columns: number, logits = columns, range?: LayerRange): number {
    return (this.cycles(columns, logits, range) / this.board.clockHz) * 1_000;
  }

  /** Core cycles of one layer; `wanted` of its columns go on after keys and values. */
  layerCycles(layer: number, columns: number, wanted = columns): number {
    const { always, query, after, experts } = this.shape.layers[layer]!;
    const first =
      wanted === columns
        ? this.#group([...query, ...always], columns)
        : this.#group(always, columns) + this.#group(query, wanted);
    const rest = after.reduce((sum, group) => sum + this.#group(group, wanted), 0);
    return first + rest + this.#experts(experts, wanted);
  }

  /** Core cycles of the output matrix. */
  outputCycles(columns: number): number {
    return this.#group([this.shape.output], columns);
  }

  /** Choices are taken to spread over as many experts as they can. */
  #experts(experts: LayerShape['experts'], columns: number): number {
    const choices = columns * this.shape.expertsUsed;
    const taken = Math.min(choices, experts.length);
    const [one] = experts;
    if (taken === 0 || one === undefined) return 0;
    const each = Math.ceil(choices / taken);
    return taken * (this.#group(one.gateUp, each) + this.#group(one.down, each));
  }

  /** Layers are alike: groups are added up once. */
  #group(group: readonly TensorShape[], columns: number): number {
    const key = `${columns}:${group.map(({ type, rows, columns: k }) => `${type} ${rows} ${k}`).join()}`;
    let cycles = this.#known.get(key);
    if (cycles === undefined) {
      const chosen = chooseForms(this.board, group, this.coreTypes);
      cycles = 0;
      // Matrices of two parts a row meet an input of their own.
      for (const parts of columns === 0 ? [] : [1, 2]) {
        const onCore = chosen.filter(({ form }) => form?.parts === parts).map(({ shape }) => shape);
        cycles += groupCycles(this.board, onCore, columns, this.resultBytes);
      }
      this.#known.set(key, cycles);
    }
    return cycles;
  }
}
