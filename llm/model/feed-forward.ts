import type { ModelConfig } from './config.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import { leaveUpdate, multiplyStream } from './stream.js';
import type { Workspace } from './workspace.js';

/** Weights of a feed-forward, the matrices bound to the buffers of the workspace. */
export interface FeedForwardWeights {
  readonly norm: Norm | undefined;
  /** Values inside that are computed here. */
  readonly width: number;
  /** Whether the input is that of attention, and both are added at once. */
  readonly isParallel: boolean;
  /** normed -> gate, up; without a gate normed -> gate, which is then what goes on */
  readonly gateUp: MatrixGroup;
  /** gate -> update */
  readonly down: MatrixGroup;
  readonly postNorm: Norm | undefined;
}

/** The second half of a layer: hidden += feedForward(norm(hidden)). */
export class FeedForward {
  constructor(
    readonly config: ModelConfig,
    readonly weights: FeedForwardWeights,
    readonly workspace: Workspace,
  ) {}

  /** Core cycles of `n` columns. */
  coreCycles(n: number): number {
    return this.weights.gateUp.coreCycles(n) + this.weights.down.coreCycles(n);
  }

  /** The first `n` columns of the residual stream; the result stays in `update`. */
  forward(n: number): void {
    const { workspace, config, weights } = this;
    const { norm, isParallel, gateUp, down, postNorm } = weights;
    if (isParallel) {
      workspace.addUpdate(n * config.embedding);
      gateUp.multiply(workspace.normed, n);
    } else {
      multiplyStream(workspace, norm, n, gateUp);
    }
    const to = down.blocksAddress;
    this.#activate(n * weights.width, to);
    down.multiply(workspace.gate, n, to !== 0);
    leaveUpdate(workspace, postNorm, n, config.scales.residual);
  }

  #activate(count: number, blocks: number): void {
    const { memory, gate, up } = this.workspace;
    const { activation, isGated } = this.config.architecture;
    if (activation === 'silu') memory.kernels.swiGlu(gate.byteOffset, up.byteOffset, count, blocks);
    else memory.kernels.geGlu(gate.byteOffset, isGated ? up.byteOffset : 0, count, blocks);
  }
}
