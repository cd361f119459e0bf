import { PynqLlmError } from '../../errors/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import type { OwnHeads } from '../model/attention-block.js';
import type { ModelConfig } from '../model/config.js';
import type { StepFaults } from '../model/forward-again.js';
import type { MatrixGroup } from '../model/linear-group.js';
import type { Workspace } from '../model/workspace.js';
import { type Rows, type TensorCut, type TensorShare, timesRows, type Wire, wireBytes } from './cut.js';
import { bytesOfFloats, type Gather, RowGather } from './gather.js';
import { MemberGroup } from './member-group.js';

/** A board's part of every matrix, and how it meets the others. */
export interface TensorPart {
  readonly cut: TensorCut;
  readonly gather: Gather;
}

/** What a board computes of a model that it has with others: where its results go, and where those of others come in. */
export class MemberGraph {
  readonly share: TensorShare;
  readonly ownHeads: OwnHeads;
  /** Matrices at which the device failed, and those that it computed when they were tried again. */
  readonly faults: StepFaults = { faults: 0, recovered: 0 };
  /** Own results that go to others: values of the residual stream, and logits. */
  readonly ownStream: Float32Array;
  readonly ownLogits: Float32Array;
  readonly #ownBlocks: Uint8Array;
  readonly #gather: Gather;
  readonly #workspace: Workspace;
  readonly #attended: RowGather;
  readonly #inner: RowGather;
  readonly #stream: RowGather;
  readonly #logits: RowGather;
  readonly #wires: { readonly attended: Wire; readonly inner: Wire };
  readonly #ownValues: { readonly attended: number; readonly inner: number };

  /** @throws PynqLlmError FLEET_TENSOR_SHARE */
  constructor({ cut, gather }: TensorPart, config: ModelConfig, workspace: Workspace) {
    const { headDim } = config;
    checkCut(cut, gather, config);
    const { maxColumns } = workspace;
    this.#gather = gather;
    this.share = cut.shares[gather.member];
    const group = config.heads / config.kvHeads;
    const { heads, kvHeads } = this.share;
    this.ownHeads = {
      queries: heads.count,
      kv: kvHeads.count,
      slots: kvHeads.count * group,
      firstSlot: heads.first - kvHeads.first * group,
    };
    this.#workspace = workspace;
    this.#wires = cut;
    const rowsBy = (part: (share: TensorShare) => Rows, wire: Wire) =>
      new RowGather(gather, cut.shares.map(part), (values) => wireBytes(values, wire));
    this.#attended = rowsBy(({ heads }) => timesRows(heads, headDim), cut.attended);
    this.#inner = rowsBy(({ feedForward }) => feedForward, cut.inner);
    this.#stream = rowsBy(({ stream }) => stream, 'f32');
    this.#logits = rowsBy(({ logits }) => logits, 'f32');
    this.#ownValues = { attended: this.share.heads.count * headDim, inner: this.share.feedForward.count };
    const most = Math.max(this.#ownValues.attended, this.#ownValues.inner);
    this.#ownBlocks = new Uint8Array(
      maxColumns * wireBytes(Math.ceil(most / SUPER_BLOCK) * SUPER_BLOCK, 'q8'),
    );
    this.ownStream = new Float32Array(maxColumns * this.share.stream.count);
    this.ownLogits = new Float32Array(maxColumns * this.share.logits.count);
  }

  /** Whether logits come together here. */
  get isFirst(): boolean {
    return this.#gather.member === 0;
  }

  /** A step has failed: others that wait for its results are told. */
  fail(): void {
    this.#gather.end();
  }

  /** Matrices whose input and results stay here: queries, keys and values; gate and up. */
  plain(group: MatrixGroup): MatrixGroup {
    return new MemberGroup(group, {}, this.faults);
  }

  /** attn_output: attended heads come in, the residual stream goes out. */
  attentionOutput(group: MatrixGroup): MatrixGroup {
    // Queries are done with by then, and as wide.
    return this.#ofStream(group, 'attended', this.#attended, this.#workspace.queries);
  }

  /** ffn_down: values inside of the feed-forward come in, the residual stream goes out. */
  down(group: MatrixGroup): MatrixGroup {
    return this.#ofStream(group, 'inner', this.#inner, this.#workspace.up);
  }

  /** The output matrix: logits go to the first board. */
  output(group: MatrixGroup): MatrixGroup {
    const { ownLogits, share } = this;
    const { logits } = this.#workspace;
    const gatherOutput = (n: number) =>
      this.#logits.toFirst(
        bytesOfFloats(ownLogits, n * share.logits.count),
        n,
        bytesOfFloats(logits, logits.length),
      );
    return new MemberGroup(group, { gatherOutput }, this.faults);
  }

  #ofStream(
    group: MatrixGroup,
    input: 'attended' | 'inner',
    gather: RowGather,
    all: Float32Array,
  ): MatrixGroup {
    const { ownStream, share } = this;
    const { update, input: matrixInput } = this.#workspace;
    const isQ8 = this.#wires[input] === 'q8';
    const gatherInput = (own: Float32Array, n: number, hasBlocks: boolean) => {
      const values = n * this.#ownValues[input];
      if (!isQ8) {
        gather.toAll(bytesOfFloats(own, values), n, bytesOfFloats(all, all.length));
        return [all, false] as const;
      }
      const blocks = matrixInput.room;
      if (!hasBlocks)
        this.#workspace.memory.kernels.quantizeQ8K(own.byteOffset, values, matrixInput.blocksAddress);
      // The own blocks lie side by side where those of all columns are to be.
      const ownBlocks = this.#ownBlocks.subarray(0, wireBytes(values, 'q8'));
      ownBlocks.set(blocks.subarray(0, ownBlocks.length));
      gather.toAll(ownBlocks, n, blocks);
      return [all, true] as const;
    };
    const gatherOutput = (n: number) =>
      this.#stream.toAll(
        bytesOfFloats(ownStream, n * share.stream.count),
        n,
        bytesOfFloats(update, update.length),
      );
    const blocksAddress = isQ8 ? matrixInput.blocksAddress : 0;
    return new MemberGroup(group, { gatherInput, blocksAddress, gatherOutput }, this.faults);
  }
}

/** @throws PynqLlmError FLEET_TENSOR_SHARE where the cut is of another model, or of other boards */
function checkCut({ shares, attended, inner }: TensorCut, gather: Gather, config: ModelConfig): void {
  const { heads, kvHeads, headDim, embedding, feedForward, vocabSize, architecture } = config;
  const refuse = (why: string) => new PynqLlmError('FLEET_TENSOR_SHARE', `${config.name}: ${why}.`);
  if (config.experts !== undefined || config.convolution !== undefined || architecture.queryKeyNorm === 'row')
    throw refuse('it is not known how its matrices would be cut by rows');
  if (shares.length !== gather.members || gather.members < 2 || !(gather.member < gather.members))
    throw refuse(`the cut has ${shares.length} parts for ${gather.members} boards`);
  const areAll = (rows: readonly Rows[], all: number) => {
    let next = 0;
    for (const { first, count } of rows) {
      if (first !== next || !Number.isInteger(count) || count < 0) return false;
      next += count;
    }
    return next === all;
  };
  const group = heads / kvHeads;
  const covers =
    areAll(
      shares.map((share) => share.heads),
      heads,
    ) &&
    areAll(
      shares.map(({ stream }) => stream),
      embedding,
    ) &&
    areAll(
      shares.map((share) => share.feedForward),
      feedForward,
    ) &&
    areAll(
      shares.map(({ logits }) => logits),
      vocabSize,
    );
  const haveHeads = shares.every(
    ({ heads: own, kvHeads: kv }) =>
      own.count > 0 &&
      kv.first === Math.floor(own.first / group) &&
      kv.first + kv.count === Math.ceil((own.first + own.count) / group),
  );
  const areWhole = (counts: readonly number[]) => counts.every((count) => count % SUPER_BLOCK === 0);
  const attendedWhole = attended === 'f32' || areWhole(shares.map((share) => share.heads.count * headDim));
  const innerWhole = inner === 'f32' || areWhole(shares.map((share) => share.feedForward.count));
  if (!covers || !haveHeads || !attendedWhole || !innerWhole)
    throw refuse('its rows are not all in the cut once each, as this model has them');
}
