import type { BoardDescription } from '../../board/index.js';
import { groupCycles, type TensorShape } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  type LayerRange,
  type MemoryRequest,
  memberShape,
  rowsOf,
  type StageMemory,
  stageMemory,
  type TensorCut,
  type TensorShare,
  type Wire,
  wireBytes,
} from '../../llm/index.js';
import { EXACT_TYPES, stepCost } from '../exact-types.js';
import type { FleetModel } from './fleet-model.js';
import { type Link, sendMs } from './link.js';
import { tensorCuts } from './tensor-cut.js';

const UPLOADS = 4 * 2 ** 20;
/** Round trips that are tried for where it begins to pay. */
const FINEST_MS = 0.01;

export interface TensorOptions {
  /** Columns of a step, 1 unless given: one stream. */
  readonly columns?: number | undefined;
  readonly link: Link;
  readonly request?: MemoryRequest | undefined;
  /** Of these layers alone, as the boards of one stage have them; of all unless given. */
  readonly range?: LayerRange | undefined;
  /** Plans it also where one board alone would be faster. */
  readonly isForced?: boolean | undefined;
}

/** What cutting by rows gives. Plain data. */
export interface TensorPlan {
  readonly model: string;
  readonly columns: number;
  readonly boards: readonly {
    readonly board: string;
    readonly share: TensorShare;
    /** Core cycles of a step. */
    readonly cycles: number;
    readonly memory: StageMemory;
    /** What it sends in a step. */
    readonly sentBytes: number;
  }[];
  readonly attended: Wire;
  readonly inner: Wire;
  /** All-gathers of a step, and the bytes that all boards send in it. */
  readonly exchanges: number;
  readonly wireBytes: number;
  readonly stepMs: number;
  /** Of that the core's, at the slowest board of each part, and the links'. */
  readonly coreMs: number;
  readonly linkMs: number;
  /** A step on the fastest of the boards, were all of the model resident there. */
  readonly aloneMs: number;
  readonly gain: number;
}

/**
 * Cuts every matrix by rows over 2 to 8 boards, exactly: each result is computed by one board, as one board alone would, and goes
 * to all others. Pure.
 * @throws PynqLlmError FLEET_TENSOR_UNSUPPORTED, FLEET_TENSOR_DOES_NOT_FIT, FLEET_TENSOR_DOES_NOT_PAY, LLM_CONTEXT_LENGTH
 */
export function planTensor(
  model: FleetModel,
  boards: readonly BoardDescription[],
  options: TensorOptions,
): TensorPlan {
  const plan = computeTensor(model, boards, options);
  for (const { board, memory } of plan.boards) {
    if (memory.short === undefined) continue;
    const { need, available } = memory[memory.short];
    throw new PynqLlmError(
      'FLEET_TENSOR_DOES_NOT_FIT',
      `A part of every matrix of ${layersOf(options)}${model.name} takes ${mebibytes(need)} MiB of ${memory.short === 'dma' ? 'DMA' : "Linux's"} memory on ${board}, which has ${mebibytes(available)}.`,
      { context: { model: model.name, board, needed: need, available } },
    );
  }
  if (plan.gain <= 1 && !options.isForced) throw doesNotPay(model, boards, options, plan);
  return plan;
}

/** The same whether or not it fits and pays: for comparisons. @throws PynqLlmError FLEET_TENSOR_UNSUPPORTED */
export function computeTensor(
  model: FleetModel,
  boards: readonly BoardDescription[],
  { columns = 1, link, request = {}, range = allOf(model) }: TensorOptions,
): TensorPlan {
  // Where the core takes no matrix, as of a model in F16, boards are taken for alike.
  const alone = boards.map((board) => stepCost(model.step, board).ms(columns, columns, range));
  const cuts = tensorCuts(
    model,
    alone.map((ms) => (ms === 0 ? 1 : 1 / ms)),
  );
  const timed = cuts.map((cut) => ({ cut, step: timeStep(model, boards, cut, columns, link, range) }));
  const { cut, step } = timed.reduce((a, b) => (b.step.ms < a.step.ms ? b : a));
  const aloneMs = Math.min(...alone);
  return {
    model: model.name,
    columns,
    boards: boards.map((board, i) => ({
      board: board.name,
      share: cut.shares[i]!,
      cycles: step.cycles[i]!,
      memory: memoryOf(model, cut.shares[i]!, board, request, range),
      sentBytes: step.sent[i]!,
    })),
    attended: cut.attended,
    inner: cut.inner,
    exchanges: step.exchanges,
    wireBytes: step.sent.reduce((sum, bytes) => sum + bytes, 0),
    stepMs: step.ms,
    coreMs: step.coreMs,
    linkMs: step.ms - step.coreMs,
    aloneMs,
    gain: aloneMs / step.ms,
  };
}

/**
 * Goes through a step part by part: each board computes its rows, sends them to the others, and goes on when the last of theirs
 * is there. Of the output matrix the logits go to the first board alone.
 */
function timeStep(
  { step: shape, memory }: FleetModel,
  boards: readonly BoardDescription[],
  { shares, attended, inner }: TensorCut,
  columns: number,
  link: Link,
  { from, to }: LayerRange,
) {
  const clocks = boards.map(() => 0);
  const cycles = boards.map(() => 0);
  const sent = boards.map(() => 0);
  let [coreMs, exchanges] = [0, 0];
  const known = new Map<string, number>();
  const cyclesOf = (i: number, group: readonly TensorShape[]) => {
    const own = group.map((matrix) => ({
      ...matrix,
      rows: rowsOf(matrix.name, shares[i]!, memory.headDim).count,
    }));
    const key = `${i} ${own.map(({ type, rows, columns: k }) => `${type} ${rows} ${k}`).join()}`;
    const found =
      known.get(key) ??
      groupCycles(
        boards[i]!,
        own.filter(({ rows }) => rows > 0),
        columns,
      );
    known.set(key, found);
    return found;
  };
  /** @param bytes that board i has for each of the others */
  const part = (group: readonly TensorShape[], bytes: (share: TensorShare) => number, toAll = true) => {
    const before = [...clocks];
    for (const [i, { clockHz }] of boards.entries()) {
      const own = cyclesOf(i, group);
      cycles[i]! += own;
      clocks[i]! += (own / clockHz) * 1_000;
    }
    coreMs += Math.max(...clocks) - Math.max(...before);
    const receivers = (i: number) => (toAll ? boards.length - 1 : Math.min(i, 1));
    const out = shares.map((share, i) => receivers(i) * bytes(share));
    const all = shares.reduce((sum, share) => sum + bytes(share), 0);
    exchanges++;
    const computed = [...clocks];
    for (const [i, share] of shares.entries()) {
      sent[i]! += out[i]!;
      if (!toAll && i > 0) continue;
      // Of a sender's port and the receiver's, the fuller one decides.
      for (const [j, at] of computed.entries())
        if (j !== i)
          clocks[i] = Math.max(clocks[i]!, at + sendMs(link, Math.max(out[j]!, all - bytes(share))));
    }
  };
  const { headDim } = memory;
  for (const { always, query, after } of shape.layers.slice(from, to)) {
    part([...query, ...always], ({ heads }) => columns * wireBytes(heads.count * headDim, attended));
    for (const group of after) {
      const isInner = group.some(({ name }) => /ffn_(gate|up)/.test(name));
      part(group, ({ feedForward, stream }) =>
        isInner ? columns * wireBytes(feedForward.count, inner) : columns * wireBytes(stream.count, 'f32'),
      );
    }
  }
  if (to === shape.layers.length)
    part([shape.output], ({ logits }) => columns * wireBytes(logits.count, 'f32'), false);
  return { ms: clocks[0]!, coreMs, exchanges, cycles, sent };
}

/** A board holds its rows of every matrix, and keys and values of its heads. */
function memoryOf(
  { memory }: FleetModel,
  share: TensorShare,
  board: BoardDescription,
  request: MemoryRequest,
  range: LayerRange,
): StageMemory {
  return stageMemory(
    memberShape(memory, share),
    range,
    board,
    { ...request, coreTypes: EXACT_TYPES },
    UPLOADS,
  );
}

function allOf({ step }: FleetModel): LayerRange {
  return { from: 0, to: step.layers.length };
}

function doesNotPay(
  model: FleetModel,
  boards: readonly BoardDescription[],
  options: TensorOptions,
  plan: TensorPlan,
): PynqLlmError {
  const { link } = options;
  let pays: number | undefined;
  for (
    let roundTripMs = link.roundTripMs / 2;
    roundTripMs >= FINEST_MS && pays === undefined;
    roundTripMs /= 2
  )
    if (computeTensor(model, boards, { ...options, link: { ...link, roundTripMs } }).gain > 1)
      pays = roundTripMs;
  const ms = (value: number) => value.toFixed(value < 10 ? 2 : 0);
  return new PynqLlmError(
    'FLEET_TENSOR_DOES_NOT_PAY',
    `Cut by rows over ${boards.length} boards, a step of ${layersOf(options)}${model.name} takes ${ms(plan.stepMs)} ms, ${ms(plan.linkMs)} of them for ${plan.exchanges} exchanges at a round trip of ${ms(link.roundTripMs)} ms; one board takes ${ms(plan.aloneMs)} ms.`,
    {
      context: {
        model: model.name,
        stepMs: plan.stepMs,
        aloneMs: plan.aloneMs,
        roundTripMs: link.roundTripMs,
      },
      remedy:
        plan.aloneMs === 0
          ? 'The core takes none of its matrices, and what processors take is not predicted: plan a pipeline, or have the fleet run it all the same (--force-tensor).'
          : pays === undefined
            ? 'No round trip makes it pay with links of this rate: plan a pipeline.'
            : `It pays from a round trip of ${ms(pays)} ms down; or plan a pipeline.`,
    },
  );
}

/** What is planned, where it is not the whole model. */
function layersOf({ range }: TensorOptions): string {
  return range === undefined ? '' : `layers ${range.from} to ${range.to - 1} of `;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
