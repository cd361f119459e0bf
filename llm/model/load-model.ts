import type { Accelerator, KeepWeights } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { GgufFile, GgufTensor } from '../../gguf/index.js';
import { type CoreTypesSetting, checkCoreTypes } from '../core-form/index.js';
import { defaultKvBytes } from '../kv/default-memory.js';
import type { KvType } from '../kv/layout.js';
import type { PoolShape } from '../kv/pool-shape.js';
import { ThreadPool } from '../threads/thread-pool.js';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.js';
import { AttentionBlock } from './attention-block.js';
import { kvShapeOf, type LayerConfig, type ModelConfig, readConfig } from './config.js';
import { ConvolutionBlock, readTaps } from './convolution-block.js';
import { type CpuWork, readCost } from './cost.js';
import { CpuRowsMemory } from './cpu-rows.js';
import { Embedding } from './embedding.js';
import { ExpertFeedForward } from './expert-feed-forward.js';
import { FeedForward } from './feed-forward.js';
import { Layer } from './layer.js';
import { checkRange, type LayerRange } from './layer-range.js';
import { type GroupMember, LinearGroup } from './linear-group.js';
import { Model } from './model.js';
import { readNorm } from './norm.js';
import { Rope } from './rope.js';
import {
  type AttentionTensors,
  type ConvolutionTensors,
  type FeedForwardTensors,
  findTensors,
  type LayerTensors,
  type MatrixTensors,
  type ModelTensors,
  matrices,
  type NormTensors,
  readVector,
} from './tensors.js';
import { type LoadProgress, type RowShare, WeightLoader } from './weight-loader.js';
import { Workspace, workspaceShape } from './workspace.js';

/** As many as the core takes of the narrower matrices at once; the driver splits wider ones. */
export const DEFAULT_MAX_COLUMNS = 64;

export interface LoadOptions {
  /**
   * The layers that are loaded: all unless given. The embedding comes with the first of all, tokenizer, output norm and matrix
   * with the last; of the file nothing else is read.
   */
  readonly range?: LayerRange | undefined;
  /** Computes what it can hold; without one everything is computed on the CPU. */
  readonly accelerator?: Accelerator | undefined;
  /** Longest sequence in tokens; by default what the model was made for. */
  readonly contextLength?: number | undefined;
  /** Most columns that go through the matrices together. */
  readonly maxColumns?: number | undefined;
  /** How keys and values are stored; F16 unless given. */
  readonly kvType?: KvType | undefined;
  /** Bound of keys and values in bytes; see {@link defaultKvBytes}. */
  readonly kvBytes?: number | undefined;
  /** Of a stage: the pages that keys and values have in common with the other stages', instead of `kvBytes`; see `stagePool`. */
  readonly kvPool?: PoolShape | undefined;
  /** Threads that compute, the caller's among them; 1 unless given. */
  readonly threads?: number | undefined;
  /**
   * How many of a matrix's rows, the last ones, threads compute while the core computes the others: see row-share.ts. None
   * unless given. A matrix that the core does not take is the CPU's anyway.
   */
  readonly cpuRows?: ((tensor: GgufTensor) => number) | undefined;
  /**
   * Whether the CPU's matrices meet float32 activations whatever their type, instead of rounded ones: more exact than llama.cpp, and
   * for comparisons. The core knows rounded ones only.
   */
  readonly floatActivations?: boolean | undefined;
  /** Which matrices go to the core; `padded` unless given. */
  readonly coreTypes?: CoreTypesSetting | undefined;
  readonly onProgress?: LoadProgress | undefined;
  /** What the model is, and where its packed weights may be kept; nothing is kept, or looked for, unless given. */
  readonly keep?: KeepWeights | undefined;
}

/** A model file that can be loaded, as far as its header tells. */
export interface CheckedModel {
  readonly config: ModelConfig;
  readonly tensors: ModelTensors;
  readonly tokenizer: Tokenizer;
  /** What is taken for granted because the file does not say it, or says what cannot be; for people. */
  readonly assumed: readonly string[];
}

/**
 * Checks all that loading checks of a model file before it takes memory or touches a board: whoever is about to send a file
 * asks the same. Reads the header only.
 *
 * @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_*, LLM_TENSOR_*, LLM_ROPE_SCALING_UNSUPPORTED, LLM_TOKENIZER_*
 */
export function checkModel(gguf: GgufFile): CheckedModel {
  const assumed = new Set<string>();
  const config = readConfig(gguf, assumed);
  const tensors = findTensors(gguf, config);
  const tokenizer = readTokenizer(gguf, config, assumed);
  return { config, tensors, tokenizer, assumed: [...assumed] };
}

/** @throws PynqLlmError LLM_TOKENIZER_*, LLM_TENSOR_SHAPE */
function readTokenizer(gguf: GgufFile, config: ModelConfig, assumed?: Set<string>): Tokenizer {
  const tokenizer = createTokenizer(gguf.metadata, assumed);
  if (tokenizer.vocabSize === config.vocabSize) return tokenizer;
  throw new PynqLlmError(
    'LLM_TENSOR_SHAPE',
    `token_embd.weight has ${config.vocabSize} rows; the tokenizer has ${tokenizer.vocabSize} tokens.`,
    { context: { tensor: 'token_embd.weight', rows: config.vocabSize, tokens: tokenizer.vocabSize } },
  );
}

/**
 * Checks a model file and loads its weights: matrices into device memory or, as the placement report says, to the CPU.
 * Embedding and staged weights stay in the file, which must remain readable until the model is closed. Weights go to device memory a
 * tile at a time; no copy of them is held.
 *
 * @throws PynqLlmError as {@link checkModel}, LLM_STAGE_RANGE, LLM_CONTEXT_LENGTH, LLM_CORE_TYPES, LLM_THREADS, LLM_TENSOR_VALUES, GGUF_READ_FAILED,
 *   DRIVER_*
 */
export function loadModel(gguf: GgufFile, options: LoadOptions = {}): Model {
  const config = readConfig(gguf);
  const tensors = findTensors(gguf, config);
  const range = checkRange(config, options.range);
  const isLast = range.to === config.layers;
  const tokenizer = isLast ? readTokenizer(gguf, config) : undefined;
  const contextLength = checkContextLength(config, options.contextLength);
  const { accelerator, kvType = 'f16' } = options;
  const coreTypes = checkCoreTypes(options.coreTypes);
  const cpuWork: CpuWork = { multiplyAdds: 0 };
  const maxColumns = options.maxColumns ?? DEFAULT_MAX_COLUMNS;
  const threads = new ThreadPool(options.threads ?? 1);
  const { cpuRows } = options;
  const share: RowShare | undefined = cpuRows && {
    rowsOf: cpuRows,
    makeRoom: (shapes, mostRows) => new CpuRowsMemory(shapes, mostRows, maxColumns, threads),
  };
  let loader: WeightLoader | undefined;
  try {
    const { onProgress, keep, floatActivations } = options;
    loader = new WeightLoader(gguf, matrices(tensors, range), {
      accelerator,
      coreTypes,
      onProgress,
      keep,
      share,
      floatActivations,
    });
    const shape = workspaceShape(config);
    const workspace = new Workspace(isLast ? shape : { ...shape, vocabulary: 0 }, maxColumns);
    const graph = buildGraph(
      gguf,
      config,
      tensors,
      range,
      loader,
      workspace,
      cpuWork,
      accelerator,
      contextLength,
    );
    return new Model({
      range,
      weights: loader.finish(),
      config,
      tokenizer,
      placement: loader.placement,
      coreTypes,
      contextLength,
      kv: {
        type: kvType,
        common: options.kvPool,
        bytes:
          options.kvBytes ??
          defaultKvBytes(kvShapeOf(config, range), kvType, contextLength, accelerator?.board.description),
      },
      workspace,
      threads,
      ...graph,
      cost: () => readCost(accelerator, cpuWork),
      // Not the loader itself: it would hold the file's metadata for as long as the model.
      unload: loader.unload,
    });
  } catch (error) {
    threads.close();
    loader?.unload();
    throw error;
  }
}

function buildGraph(
  gguf: GgufFile,
  config: ModelConfig,
  tensors: ModelTensors,
  { from, to }: LayerRange,
  loader: WeightLoader,
  workspace: Workspace,
  cpuWork: CpuWork,
  accelerator: Accelerator | undefined,
  contextLength: number,
) {
  const shared = { accelerator, input: workspace.input, cpuWork, rows: loader.rows };
  const placed = ({ weight, bias }: MatrixTensors, output: Float32Array): GroupMember => ({
    ...loader.load(weight),
    output,
    bias: bias && readVector(gguf, bias),
  });
  const groupOf = (columns: number, ...members: readonly GroupMember[]): LinearGroup =>
    new LinearGroup(columns, members, shared);
  const group = (...members: readonly (readonly [MatrixTensors, Float32Array])[]): LinearGroup =>
    groupOf(members[0][0].weight.columns, ...members.map(([matrix, output]) => placed(matrix, output)));
  const factors = tensors.ropeFactors;
  const isLong = contextLength > config.rope.originalContext;
  const rope = new Rope(config.rope, factors && readFactors(gguf, isLong ? factors.long : factors.short));
  const windowRope = config.windowRope && new Rope(config.windowRope, undefined);
  const { queries, keys, values, update, gate, up, logits } = workspace;
  const norm = (norms: NormTensors | GgufTensor | undefined) => readNorm(gguf, config, norms);
  const gateUp = (matrices: FeedForwardTensors): LinearGroup =>
    matrices.gate === undefined
      ? group([matrices.up, gate])
      : group([matrices.gate, gate], [matrices.up, up]);
  const feedForwardOf = (layer: LayerTensors): FeedForward => {
    const { feedForward } = layer;
    if (feedForward === undefined) throw new Error('a layer without experts has a feed-forward');
    const weights = {
      norm: norm(layer.feedForwardNorm),
      isParallel: config.architecture.normBefore && layer.feedForwardNorm === undefined,
      gateUp: gateUp(feedForward),
      down: group([feedForward.down, update]),
      postNorm: norm(layer.feedForwardPostNorm),
    };
    return new FeedForward(config, weights, workspace);
  };
  const expertsOf = (layer: LayerTensors, experts: NonNullable<LayerTensors['experts']>) => {
    const weights = {
      norm: norm(layer.feedForwardNorm),
      router: group([experts.router, workspace.routing]),
      experts: experts.each.map((matrices) => ({
        gateUp: gateUp(matrices),
        down: group([matrices.down, workspace.expertUpdate]),
      })),
    };
    return new ExpertFeedForward(config, weights, workspace);
  };
  const attentionOf = (layer: LayerTensors, own: AttentionTensors, layerConfig: LayerConfig) => {
    const [q, k, v] = [placed(own.q, queries), placed(own.k, keys), placed(own.v, values)];
    const weights = {
      norm: norm(layer.attentionNorm),
      qkv: groupOf(config.embedding, q, k, v),
      keysValues: groupOf(config.embedding, k, v),
      query: groupOf(config.embedding, q),
      queryNorm: norm(own.queryNorm),
      keyNorm: norm(own.keyNorm),
      output: group([own.output, update]),
      postNorm: norm(layer.attentionPostNorm),
    };
    return new AttentionBlock(attending++, config, layerConfig, weights, workspace);
  };
  const convolutionOf = (layer: LayerTensors, own: ConvolutionTensors) => {
    const weights = {
      norm: norm(layer.attentionNorm),
      input: group([own.input, workspace.projected]),
      taps: readTaps(readVector(gguf, own.weights), config.embedding),
      output: group([own.output, update]),
      postNorm: norm(layer.attentionPostNorm),
    };
    return new ConvolutionBlock(convolving++, config, weights, workspace);
  };
  let [attending, convolving] = [0, 0];
  const mixerOf = (layer: LayerTensors, layerConfig: LayerConfig) => {
    const { attention, convolution } = layer;
    if (attention !== undefined) return attentionOf(layer, attention, layerConfig);
    if (convolution !== undefined) return convolutionOf(layer, convolution);
    throw new Error('a layer attends or convolves');
  };
  const layers = tensors.layers.slice(from, to).map((layer, index) => {
    const { experts } = layer;
    return new Layer(
      mixerOf(layer, config.layerConfigs[from + index]),
      experts === undefined ? feedForwardOf(layer) : expertsOf(layer, experts),
    );
  });
  const [isFirst, isLast] = [from === 0, to === config.layers];
  return {
    embedding: isFirst ? new Embedding(gguf.source, tensors.embedding) : undefined,
    positions: isFirst && tensors.positions ? new Embedding(gguf.source, tensors.positions) : undefined,
    rope,
    windowRope,
    layers,
    output: isLast
      ? {
          norm: readNorm(gguf, config, tensors.outputNorm),
          matrix: group([{ weight: tensors.output, bias: undefined }, logits]),
        }
      : undefined,
  };
}

/** Divisors of RoPE's angles. @throws PynqLlmError LLM_TENSOR_VALUES */
function readFactors(gguf: GgufFile, tensor: GgufTensor): Float32Array {
  const factors = readVector(gguf, tensor);
  const wrong = factors.find((factor) => !(factor > 0 && factor < Number.POSITIVE_INFINITY));
  if (wrong === undefined) return factors;
  throw new PynqLlmError('LLM_TENSOR_VALUES', `${tensor.name} has the RoPE factor ${wrong}.`, {
    context: { tensor: tensor.name, value: String(wrong) },
  });
}

/** @returns the context that was asked for, or all that the model was made for @throws PynqLlmError LLM_CONTEXT_LENGTH */
export function checkContextLength(
  config: Pick<ModelConfig, 'trainedContext'>,
  asked = config.trainedContext,
): number {
  if (Number.isInteger(asked) && asked >= 1 && asked <= config.trainedContext) return asked;
  throw new PynqLlmError(
    'LLM_CONTEXT_LENGTH',
    `A context of ${asked} tokens was asked for; the model was made for 1 to ${config.trainedContext}.`,
    { context: { contextLength: asked, trainedContext: config.trainedContext } },
  );
}
