import type { BoardDescription } from '../../board/index.js';
import { type FreeMemory, type PlacedWeights, placeWeights, workingSizes } from '../../driver/index.js';
import { type CoreTypesSetting, checkCoreTypes, chooseForms } from '../core-form/index.js';
import { Attention } from '../kv/attention.js';
import { defaultKvBytes } from '../kv/default-memory.js';
import { KvLayout, type KvType } from '../kv/layout.js';
import { type RowsWork, rowsWorkBytes } from '../model/cpu-rows.js';
import { DEFAULT_MAX_COLUMNS } from '../model/load-model.js';
import type { ModelShape } from './model-shape.js';
import { HEAP_BYTES, samplingBytes, THREAD_BYTES, tokenizerBytes, workspaceBytes } from './sizes.js';

/** Where nobody says how long sequences are to be, keys and values of so many tokens are the least. */
const LEAST_TOKENS = 128;
/** What a board's card gives of a file that is read in large pieces: 20 MB/s, an assumption for staged weights. */
const CARD_BYTES_PER_SECOND = 20e6;

/** What of a board a model may have. */
export interface BoardMemory {
  readonly description: BoardDescription;
  /** DMA memory as it is now; `emptyMemory(description)` with nothing loaded. */
  readonly dma: FreeMemory;
}

/** What the machine has beside DMA memory. */
export interface SystemMemory {
  /** Bytes that the agent may still take without anybody being killed. */
  readonly available: number;
  /** Where this figure is from, for people. */
  readonly source: string;
  /** Bytes that uploads may take while models are loaded. */
  readonly uploads: number;
  /**
   * A mock with DMA memory of its own: that is this machine's too, and weights may be staged without asking, as nothing slow is
   * behind them. One in a board's memory takes what the board takes.
   */
  readonly isMock: boolean;
}

/** How a model is to be loaded. */
export interface MemoryRequest {
  readonly contextLength?: number | undefined;
  readonly kvType?: KvType | undefined;
  readonly kvBytes?: number | undefined;
  readonly maxColumns?: number | undefined;
  /** Which matrices go to the core; `padded` unless given. */
  readonly coreTypes?: CoreTypesSetting | undefined;
  /** Whether weights that find no DMA memory may be read from storage for each step. */
  readonly staged?: boolean | undefined;
  /** The packed rows that the CPU's threads compute instead of the core, in bytes, and what multiplying them takes. */
  readonly threadRows?: { readonly bytes: number; readonly work: RowsWork } | undefined;
  /** Threads that compute, the device's among them; 1 unless given. */
  readonly threads?: number | undefined;
}

export interface BudgetInput {
  readonly model: ModelShape;
  readonly board: BoardMemory;
  readonly system: SystemMemory;
  readonly request: MemoryRequest;
}

/** One line of the sum, in bytes. */
export interface MemoryLine {
  readonly of: 'dma' | 'system';
  readonly what: string;
  readonly bytes: number;
}

/** The sum of what a model takes, and what there is. Plain data. */
export interface MemorySum {
  readonly board: string;
  readonly model: string;
  readonly lines: readonly MemoryLine[];
  readonly dma: { readonly need: number; readonly available: number };
  readonly system: { readonly need: number; readonly available: number; readonly source: string };
  readonly contextLength: number;
  readonly kvType: KvType;
  /** Bytes for keys and values of all sequences, and tokens of one that has them alone. */
  readonly kvBytes: number;
  readonly kvTokens: number;
  readonly maxColumns: number;
  /** Bytes of weights that are read for each step, and the seconds of it on a card. */
  readonly stagedBytes: number;
  readonly stagedSeconds: number;
  /** What is short, where something is. */
  readonly short: 'dma' | 'system' | undefined;
}

/**
 * Where a model's weights go: of every step of a sum the one that takes long.
 * @throws PynqLlmError LLM_CORE_TYPES
 */
export function placeModel({ model, board, request }: Omit<BudgetInput, 'system'>): PlacedWeights {
  const { description, dma } = board;
  const choices = chooseForms(description, model.matrices, checkCoreTypes(request.coreTypes));
  return placeWeights(
    description,
    dma,
    choices.map(({ shape }) => shape),
  );
}

/**
 * Adds up what a model takes on a board. Pure: nothing is read, allocated or touched.
 * @param weights of this input's model on its board
 * @throws PynqLlmError LLM_KV_TYPE, LLM_CORE_TYPES
 */
export function sumMemory(input: BudgetInput, weights: PlacedWeights = placeModel(input)): MemorySum {
  const { model, board, system, request } = input;
  const { description, dma } = board;
  const mayStage = request.staged ?? system.isMock;
  const fits = weights.staged === 0;
  // What is staged takes no DMA memory of its own: the two staging buffers are the driver's.
  const rows = request.threadRows?.bytes ?? 0;
  const resident = Math.max(0, (fits || !mayStage ? weights.wanted : weights.resident) - rows);
  const working = workingSizes(description).total;
  const others = Math.max(0, dma.total - dma.free - working);
  const dmaLines = lines('dma', [
    ["the driver's buffers", working],
    ['other models and buffers', others],
    ["this model's weights", resident],
  ]);

  const columns = request.maxColumns ?? DEFAULT_MAX_COLUMNS;
  const rowsWork = request.threadRows
    ? rowsWorkBytes(request.threadRows.work, columns, request.threads ?? 1)
    : 0;
  const systemLines = lines('system', [
    ["the mock's DMA memory, in this process", system.isMock ? resident : 0],
    ['weights that the core does not take', weights.cpu],
    ["rows that the CPU's threads compute", rows],
    ["inputs and results of the CPU's rows", rowsWork],
    ["threads beside the device's", ((request.threads ?? 1) - 1) * THREAD_BYTES],
    ['norms', 4 * model.vectorValues],
    [`activations of ${columns} columns`, workspaceBytes(model, columns)],
    ['logits of 8 sequences', samplingBytes(model)],
    ['the vocabulary', tokenizerBytes(model)],
    ['JavaScript and WebAssembly', HEAP_BYTES],
    ['uploads', system.uploads],
  ]);
  const kv = chooseKv(
    input,
    sumOf(systemLines, ({ bytes }) => bytes),
  );
  systemLines.push(...lines('system', [[`keys and values, ${kv.all} tokens in all`, kv.total]]));

  const need = { dma: sumOf(dmaLines, byBytes), system: sumOf(systemLines, byBytes) };
  const short = !fits && !mayStage ? 'dma' : need.system > system.available ? 'system' : undefined;
  const stagedBytes = !fits && mayStage ? weights.staged : 0;
  return {
    board: description.name,
    model: model.name,
    lines: [...dmaLines, ...systemLines],
    dma: { need: need.dma, available: dma.total },
    system: { need: need.system, available: system.available, source: system.source },
    contextLength: request.contextLength ?? model.trainedContext,
    kvType: kv.type,
    kvBytes: kv.bytes,
    kvTokens: kv.tokens,
    maxColumns: columns,
    stagedBytes,
    stagedSeconds: system.isMock ? 0 : stagedBytes / CARD_BYTES_PER_SECOND,
    short,
  };
}

/**
 * Keys and values: as many bytes as asked for; else the default within what is left, and no fewer than a sequence of the
 * context that was asked for.
 */
function chooseKv({ model, board, system, request }: BudgetInput, taken: number) {
  const type = request.kvType ?? 'f16';
  const layout = new KvLayout(model, type);
  const context = request.contextLength ?? model.trainedContext;
  const one = layout.framesOf(request.contextLength ?? Math.min(context, LEAST_TOKENS)) * layout.frameBytes;
  const { threads = 1, maxColumns = DEFAULT_MAX_COLUMNS } = request;
  const tokensIn = (bytes: number) => layout.tokensIn(Math.floor(bytes / layout.frameBytes));
  // Attention has room for the longest sequence that the pages hold.
  const scratchOf = (bytes: number) =>
    Attention.bytes(layout, Math.min(context, tokensIn(bytes)), maxColumns, threads);
  const usual = Math.max(defaultKvBytes(model, type, context, board.description), one);
  const left = Math.max(0, system.available - taken - scratchOf(usual));
  const bytes = request.kvBytes ?? Math.max(one, Math.min(usual, left));
  const all = tokensIn(bytes);
  return { type, bytes, all, tokens: Math.min(context, all), total: bytes + scratchOf(bytes) };
}

function lines(of: MemoryLine['of'], entries: readonly (readonly [string, number])[]): MemoryLine[] {
  return entries.filter(([, bytes]) => bytes > 0).map(([what, bytes]) => ({ of, what, bytes }));
}

function sumOf<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}

function byBytes({ bytes }: MemoryLine): number {
  return bytes;
}
