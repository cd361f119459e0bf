import { planOnBoard } from '../../../agent/plan-on-board.js';
import { loadBoardDescription } from '../../../board/index.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { BLOCK_FORMATS, GgmlType, openGguf, SUPER_BLOCK } from '../../../gguf/index.js';
import { coreUse, modelShape } from '../../../llm/index.js';
import { mixtureOf, planQuantization } from '../../../quantize/index.js';
import { headerOnly, tensorsOf } from './model-header.js';
import type { RealModel } from './real-models.js';

/** A PYNQ-Z1's memory as it may be shared between Linux and DMA. */
const PYNQ_Z1 = ['pynq-z1-128', 'pynq-z1-256', 'pynq-z1-360'];
const KV260 = ['kv260'];
/** As many columns as pay on a synthesised core; more would take memory from keys and values. */
const REQUEST = { maxColumns: 16 };

/** Where a model fits best: in which description, and with how many tokens of context. */
interface Fit {
  readonly board: string;
  readonly tokens: number;
}

/** What a model is in one mixture, on the boards. */
export interface ModelPlan {
  readonly model: RealModel;
  readonly mixture: string;
  /** Bytes of all tensors in the file. */
  readonly bytes: number;
  /** Of a token's multiply-adds those on the core. */
  readonly onCore: number;
  /** Core cycles of a token, with the unpacker as fast as the words come and as the HLS report has it. */
  readonly cycles: { readonly words: number; readonly hls: number };
  /** Bytes of DMA memory that it takes on one board. */
  readonly dmaBytes: number;
  /** Undefined where it does not fit. */
  readonly pynq: Fit | undefined;
  readonly twoPynqs: Fit | undefined;
  readonly kv260: Fit | undefined;
}

/** Why a model does not run at all, as loading would say it. */
export interface Unsupported {
  readonly model: RealModel;
  readonly code: string;
}

type ToPlan = Parameters<typeof planOnBoard>[0];

/** Whether `quantize --pad` makes another file of a model than `quantize` does. */
export function hasPaddedRows(model: RealModel): boolean {
  return tensorsOf(model).some(({ type, shape }) => type === GgmlType.F16 && shape[0] % SUPER_BLOCK !== 0);
}

/** Plans a model of these dimensions in a mixture: types by `quantize`, places and memory as `inspect --board` has them. */
export function planModel(model: RealModel, mixture: string, pad = false): ModelPlan | Unsupported {
  const source = headerOnly(model, tensorsOf(model));
  const { tensors } = planQuantization(source, mixtureOf(mixture), { pad });
  const quantized = headerOnly(
    model,
    tensors.map(({ name, shape, to }) => ({ name, shape, type: to })),
  );
  let toPlan: ToPlan;
  try {
    toPlan = readToPlan(quantized);
  } catch (error) {
    if (isPynqLlmError(error)) return { model, code: error.code };
    throw error;
  }
  const { experts } = model;
  const expertShare = experts === undefined ? 1 : experts.used / experts.count;
  const { matrices } = modelShape(openGguf(quantized));
  const use = coreUse(matrices, loadBoardDescription(PYNQ_Z1[0]), undefined, expertShare);
  return {
    model,
    mixture: pad ? `${mixture} --pad` : mixture,
    bytes: tensors.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0),
    onCore: use.share,
    cycles: use.cycles,
    dmaBytes: planOnBoard(toPlan, KV260[0], REQUEST).memory?.dma.need ?? 0,
    pynq: bestFit(PYNQ_Z1, [toPlan]),
    twoPynqs: bestFit(PYNQ_Z1, halves(toPlan)),
    kv260: bestFit(KV260, [toPlan]),
  };
}

/** As `readModelToPlan` of agent/, without a tokenizer: its memory follows from the numbers alone. */
function readToPlan(source: Parameters<typeof openGguf>[0]): ToPlan {
  const gguf = openGguf(source);
  const { vectorValues: _, matrices: __, ...model } = modelShape(gguf);
  const tensors = [...gguf.tensors.values()].map(({ name, type, rows, columns }) => ({
    name,
    type: BLOCK_FORMATS[type].name,
    rows,
    columns,
  }));
  return { model, tensors };
}

/** The description in which all parts fit, each on a board of its own, with the longest context. */
function bestFit(boards: readonly string[], parts: readonly ToPlan[]): Fit | undefined {
  let best: Fit | undefined;
  for (const board of boards) {
    const plans = parts.map((part) => planOnBoard(part, board, REQUEST));
    if (plans.some(({ memory }) => memory === undefined || memory.refusal !== undefined)) continue;
    const tokens = Math.min(...plans.map(({ memory }) => memory?.kvTokens ?? 0));
    if (best === undefined || tokens > best.tokens) best = { board, tokens };
  }
  return best;
}

/** The first layers, and the others with the output matrix, cut where their weights are most alike. */
function halves({ model, tensors }: ToPlan): ToPlan[] {
  const hasOutput = tensors.some(({ name }) => name === 'output.weight');
  const bytes = (part: readonly ToPlan['tensors'][number][]) =>
    part.reduce((sum, { type, rows, columns }) => sum + rows * columns * bitsOf(type), 0);
  // A looked-up embedding takes no memory: it goes where it does not matter.
  const ofPart = (from: number, to: number) =>
    tensors.filter(({ name }) => {
      const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? model.layers - 1);
      return layer >= from && layer < to && !(hasOutput && name === 'token_embd.weight');
    });
  const cuts = Array.from({ length: model.layers - 1 }, (_, i) => i + 1);
  const larger = (cut: number) => Math.max(bytes(ofPart(0, cut)), bytes(ofPart(cut, model.layers)));
  const cut = cuts.reduce((best, one) => (larger(one) < larger(best) ? one : best));
  return [
    { model: { ...model, layers: cut }, tensors: ofPart(0, cut) },
    { model: { ...model, layers: model.layers - cut }, tensors: ofPart(cut, model.layers) },
  ];
}

function bitsOf(name: string): number {
  const format = Object.values(BLOCK_FORMATS).find((one) => one.name === name);
  return format === undefined ? 0 : (8 * format.blockBytes) / format.blockSize;
}
