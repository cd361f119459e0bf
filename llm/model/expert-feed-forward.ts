import { exp } from '../../maths/index.js';
import type { ModelConfig } from './config.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import { leaveUpdate, multiplyStream } from './stream.js';
import type { Workspace } from './workspace.js';

/** The least that the weights of the chosen experts are divided by: the smallest normal half. */
const LEAST_SUM = 2 ** -14;

/** One of the feed-forwards that a router chooses from. */
export interface Expert {
  /** gathered -> gate, up */
  readonly gateUp: MatrixGroup;
  /** gate -> expertUpdate */
  readonly down: MatrixGroup;
}

export interface ExpertWeights {
  readonly norm: Norm | undefined;
  /** normed -> routing */
  readonly router: MatrixGroup;
  readonly experts: readonly Expert[];
}

/**
 * The second half of a layer as a mixture of experts: for each column the router's likeliest few, weighted by their
 * probabilities, which are divided by their sum. An expert takes all columns that chose it together, and only those.
 */
export class ExpertFeedForward {
  readonly #used: number;

  constructor(
    readonly config: ModelConfig,
    readonly weights: ExpertWeights,
    readonly workspace: Workspace,
  ) {
    this.#used = config.experts?.used ?? 0;
  }

  /** Core cycles of `n` columns, were their choices spread over as many experts as they can. */
  coreCycles(n: number): number {
    const { experts, router } = this.weights;
    const choices = n * this.#used;
    const taken = Math.min(choices, experts.length);
    if (taken === 0) return router.coreCycles(n);
    const [{ gateUp, down }] = experts;
    const each = Math.ceil(choices / taken);
    return router.coreCycles(n) + taken * (gateUp.coreCycles(each) + down.coreCycles(each));
  }

  /** The first `n` columns of the residual stream; the result stays in `update`. */
  forward(n: number): void {
    const { workspace, weights, config } = this;
    multiplyStream(workspace, weights.norm, n, weights.router);
    for (let column = 0; column < n; column++) this.#choose(column);
    for (let expert = 0; expert < weights.experts.length; expert++) this.#compute(expert, n);
    const { embedding, scales } = config;
    const { update, chosenUpdates } = workspace;
    for (let column = 0; column < n; column++) {
      const from = column * this.#used * embedding;
      const to = column * embedding;
      for (let i = 0; i < embedding; i++) update[to + i] = chosenUpdates[from + i];
      for (let slot = 1; slot < this.#used; slot++)
        for (let i = 0; i < embedding; i++) update[to + i] += chosenUpdates[from + slot * embedding + i];
    }
    leaveUpdate(workspace, undefined, n, scales.residual);
  }

  /** Softmax over all experts in float32, and the likeliest; of equally likely ones the first. */
  #choose(column: number): void {
    const count = this.weights.experts.length;
    const { routing, chosen, chosenWeights } = this.workspace;
    const row = routing.subarray(column * count, (column + 1) * count);
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      row[i] = exp(Math.fround(row[i] - most));
      sum += row[i];
    }
    const inverse = Math.fround(1 / sum);
    for (let i = 0; i < count; i++) row[i] *= inverse;
    const at = column * this.#used;
    let total = 0;
    for (let slot = 0; slot < this.#used; slot++) {
      let best = -1;
      for (let i = 0; i < count; i++)
        if (!this.#isChosen(i, at, slot) && (best < 0 || row[i] > row[best])) best = i;
      chosen[at + slot] = best;
      chosenWeights[at + slot] = row[best];
      total = Math.fround(total + row[best]);
    }
    for (let slot = 0; slot < this.#used; slot++) chosenWeights[at + slot] /= Math.max(total, LEAST_SUM);
  }

  #isChosen(expert: number, at: number, slots: number): boolean {
    for (let slot = 0; slot < slots; slot++) if (this.workspace.chosen[at + slot] === expert) return true;
    return false;
  }

  /** An expert's part of the columns that chose it. */
  #compute(expert: number, n: number): void {
    const { workspace, config } = this;
    const { embedding, feedForward } = config;
    const { normed, hidden, gathered, gate, up, expertUpdate, memory } = workspace;
    const { chosen, chosenWeights, chosenUpdates } = workspace;
    const { gateUp, down } = this.weights.experts[expert];
    const stream = this.weights.norm === undefined ? hidden : normed;
    const choices = n * this.#used;
    let m = 0;
    for (let choice = 0; choice < choices; choice++) {
      if (chosen[choice] !== expert) continue;
      const from = Math.floor(choice / this.#used) * embedding;
      gathered.set(stream.subarray(from, from + embedding), m++ * embedding);
    }
    if (m === 0) return;
    gateUp.multiply(gathered, m);
    const to = down.blocksAddress;
    memory.kernels.swiGlu(gate.byteOffset, up.byteOffset, m * feedForward, to);
    down.multiply(gate, m, to !== 0);
    let from = 0;
    for (let choice = 0; choice < choices; choice++) {
      if (chosen[choice] !== expert) continue;
      const weight = chosenWeights[choice];
      const at = choice * embedding;
      for (let i = 0; i < embedding; i++) chosenUpdates[at + i] = expertUpdate[from++] * weight;
    }
  }
}
