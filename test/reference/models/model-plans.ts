import { planOnBoard } from '../../../agent/plan-on-board.js';
import { loadBoardDescription } from '../../../board/index.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { BLOCK_FORMATS, GgmlType, openGguf, SUPER_BLOCK } from '../../../gguf/index.js';
import { coreUse, modelShape } from '../../../llm/index.js';
import { mixtureOf, planQuantization } from '../../../quantize/index.js';
import { type HeaderTensor, headerOnly, tensorsOf } from './model-header.js';
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
  const made = tensors.map(({ name, shape, to, bytesAfter }) => ({
    name,
    shape,
    type: to,
    bytes: bytesAfter,
  }));
  const quantized = headerOnly(model, made);
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
    twoPynqs: bestFit(PYNQ_Z1, halves(model, made)),
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

interface MadeTensor extends HeaderTensor {
  /** In the file. */
  readonly bytes: number;
}

/** The first layers, and the others with the output matrix, cut where their weights are most alike: two models of fewer layers. */
function halves(model: RealModel, tensors: readonly MadeTensor[]): ToPlan[] {
  const { layers, isTied } = model;
  const ofLayers = (from: number, to: number) =>
    tensors.filter(({ name }) => layerOf(name) === undefined || isIn(layerOf(name), from, to));
  const bytes = (from: number, to: number) => {
    const multiplied = ofLayers(from, to).filter(({ name }) =>
      layerOf(name) === undefined ? to === layers && (isTied || name !== 'token_embd.weight') : true,
    );
    return multiplied.reduce((sum, one) => sum + one.bytes, 0);
  };
  const part = (from: number, to: number): ToPlan =>
    readToPlan(
      headerOnly(
        {
          ...model,
          layers: to - from,
          ...(model.attentionLayers && {
            attentionLayers: model.attentionLayers.filter((i) => isIn(i, from, to)).map((i) => i - from),
          }),
        },
        ofLayers(from, to).map((tensor) => ({
          ...tensor,
          name: tensor.name.replace(/^blk\.(\d+)/, (_, layer) => `blk.${Number(layer) - from}`),
        })),
      ),
    );
  const cuts = Array.from({ length: layers - 1 }, (_, i) => i + 1);
  const larger = (cut: number) => Math.max(bytes(0, cut), bytes(cut, layers));
  const cut = cuts.reduce((best, one) => (larger(one) < larger(best) ? one : best));
  const first = part(0, cut);
  // Embeddings are looked up there, and the output matrix is the other's.
  const withoutOutput = first.tensors.filter(({ name }) => !/^(token_embd|output)\.weight$/.test(name));
  return [{ model: first.model, tensors: withoutOutput }, part(cut, layers)];
}

function layerOf(name: string): number | undefined {
  const layer = /^blk\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? undefined : Number(layer);
}

function isIn(layer: number | undefined, from: number, to: number): boolean {
  return layer !== undefined && layer >= from && layer < to;
}
