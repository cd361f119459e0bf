import {
  type ByteSource,
  GgmlType,
  type GgufEntry,
  ggufHeader,
  PADDED_ROWS_KEYS,
  paddedColumns,
  rowBytes,
} from '../../../gguf/index.js';
import type { RealModel } from './real-models.js';

/** What a tensor of a header is. */
export interface HeaderTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** The length of a row first. */
  readonly shape: readonly number[];
}

/** What the files of a family hold beside LLaMA's tensors, as llama.cpp's converter writes them. */
interface FamilyTensors {
  readonly layerNorm?: boolean;
  readonly queryKeyNorm?: 'heads' | 'row';
  readonly norms?: 'before' | 'both' | 'after';
  readonly qkvBias?: boolean;
  readonly allBias?: boolean;
  readonly fusedQkv?: boolean;
  readonly fusedGateUp?: boolean;
  readonly noGate?: boolean;
  readonly positions?: boolean;
  readonly outputNorm?: string;
}

const FAMILIES: Readonly<Record<string, FamilyTensors>> = {
  qwen2: { qkvBias: true },
  qwen3: { queryKeyNorm: 'heads' },
  qwen3moe: { queryKeyNorm: 'heads' },
  gemma2: { norms: 'both' },
  gemma3: { norms: 'both', queryKeyNorm: 'heads' },
  lfm2: { queryKeyNorm: 'heads', outputNorm: 'token_embd_norm' },
  olmo2: { norms: 'after', queryKeyNorm: 'row' },
  phi3: { fusedQkv: true, fusedGateUp: true },
  stablelm: { layerNorm: true, qkvBias: true },
  starcoder2: { layerNorm: true, allBias: true, noGate: true },
  gpt2: { layerNorm: true, allBias: true, noGate: true, fusedQkv: true, positions: true },
};

/** The tensors of a model's F16 file: matrices as halves, everything else F32. */
export function tensorsOf(model: RealModel): HeaderTensor[] {
  const { embedding, layers, isTied, vocabulary, context } = model;
  const family = FAMILIES[model.family] ?? {};
  return [
    matrix('token_embd.weight', vocabulary, embedding),
    ...(family.positions ? [matrix('position_embd.weight', context, embedding)] : []),
    ...Array.from({ length: layers }, (_, i) => layerOf(model, family, i)).flat(),
    ...normOf(family.outputNorm ?? 'output_norm', embedding, family),
    ...(isTied ? [] : [matrix('output.weight', vocabulary, embedding)]),
  ];
}

function layerOf(model: RealModel, family: FamilyTensors, index: number): HeaderTensor[] {
  const { embedding, experts, attentionLayers } = model;
  const { norms = 'before' } = family;
  const norm = (name: string, exists: boolean) => (exists ? normOf(name, embedding, family) : []);
  const isAttention = attentionLayers?.includes(index) ?? true;
  const tensors = [
    ...norm('attn_norm', norms !== 'after'),
    ...(isAttention ? attentionOf(model, family) : convolutionOf(model)),
    ...norm('post_attention_norm', norms !== 'before'),
    ...norm('ffn_norm', norms !== 'after'),
    ...(experts === undefined ? feedForwardOf(model, family) : expertsOf(model, experts.count)),
    ...norm('post_ffw_norm', norms !== 'before'),
  ];
  return tensors.map((tensor) => ({ ...tensor, name: `blk.${index}.${tensor.name}` }));
}

function attentionOf({ embedding, heads, kvHeads, headDim }: RealModel, family: FamilyTensors) {
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const { queryKeyNorm, fusedQkv, allBias = false, qkvBias = false } = family;
  const hasBias = allBias || qkvBias;
  const norms = [
    vectorOf('attn_q_norm.weight', queryKeyNorm === 'row' ? queries : headDim),
    vectorOf('attn_k_norm.weight', queryKeyNorm === 'row' ? keys : headDim),
  ];
  return [
    ...(fusedQkv
      ? biased('attn_qkv', queries + 2 * keys, embedding, hasBias)
      : [
          ...biased('attn_q', queries, embedding, hasBias),
          ...biased('attn_k', keys, embedding, hasBias),
          ...biased('attn_v', keys, embedding, hasBias),
        ]),
    ...(queryKeyNorm === undefined ? [] : norms),
    ...biased('attn_output', embedding, queries, allBias),
  ];
}

function convolutionOf({ embedding, keys = {} }: RealModel): HeaderTensor[] {
  return [
    matrix('shortconv.in_proj.weight', 3 * embedding, embedding),
    vectorOf('shortconv.conv.weight', keys['shortconv.l_cache'], embedding),
    matrix('shortconv.out_proj.weight', embedding, embedding),
  ];
}

function feedForwardOf({ embedding, feedForward }: RealModel, family: FamilyTensors): HeaderTensor[] {
  const { fusedGateUp, noGate, allBias = false } = family;
  return [
    ...(fusedGateUp || noGate ? [] : [matrix('ffn_gate.weight', feedForward, embedding)]),
    ...biased('ffn_up', fusedGateUp ? 2 * feedForward : feedForward, embedding, allBias),
    ...biased('ffn_down', embedding, feedForward, allBias),
  ];
}

function expertsOf({ embedding, feedForward }: RealModel, count: number): HeaderTensor[] {
  const stack = (name: string, rows: number, columns: number) => ({
    ...matrix(`${name}_exps.weight`, rows, columns),
    shape: [columns, rows, count],
  });
  return [
    vectorOf('ffn_gate_inp.weight', embedding, count),
    stack('ffn_gate', feedForward, embedding),
    stack('ffn_up', feedForward, embedding),
    stack('ffn_down', embedding, feedForward),
  ];
}

function matrix(name: string, rows: number, columns: number): HeaderTensor {
  return { name, type: GgmlType.F16, shape: [columns, rows] };
}

function biased(name: string, rows: number, columns: number, hasBias: boolean): HeaderTensor[] {
  const bias = hasBias ? [vectorOf(`${name}.bias`, rows)] : [];
  return [matrix(`${name}.weight`, rows, columns), ...bias];
}

/** One row of float32 values, or several. */
function vectorOf(name: string, length: number, rows = 1): HeaderTensor {
  return { name, type: GgmlType.F32, shape: rows === 1 ? [length] : [length, rows] };
}

function normOf(name: string, length: number, { layerNorm = false }: FamilyTensors): HeaderTensor[] {
  const bias = layerNorm ? [vectorOf(`${name}.bias`, length)] : [];
  return [vectorOf(`${name}.weight`, length), ...bias];
}

/**
 * A file of the model with these tensors: a true header, and nothing behind it that may be read. Rows are padded where their type
 * asks for it.
 */
export function headerOnly(model: RealModel, tensors: readonly HeaderTensor[]): ByteSource {
  const alignment = 32;
  const stored = tensors.map(({ type, shape: [columns, ...rest], ...tensor }) => {
    return { ...tensor, type, shape: [paddedColumns(type, columns), ...rest] };
  });
  const padded = tensors.filter(({ shape }, i) => shape[0] !== stored[i].shape[0]);
  const header = ggufHeader(new Map([...metadataOf(model), ...paddingOf(padded)]), stored, alignment);
  const bytes = stored.map(({ type, shape }) => {
    const rows = shape.slice(1).reduce((product, length) => product * length, 1);
    return Math.ceil((rows * rowBytes(type, shape[0])) / alignment) * alignment;
  });
  return {
    size: bytes.reduce((sum, one) => sum + one, header.length),
    readInto: (offset, into) => {
      // Headers are read by windows, which reach beyond them.
      into.fill(0);
      into.set(header.subarray(offset, offset + into.length));
    },
  };
}

function paddingOf(padded: readonly HeaderTensor[]): (readonly [string, GgufEntry])[] {
  if (padded.length === 0) return [];
  const [names, columns] = [padded.map(({ name }) => name), padded.map(({ shape }) => shape[0])];
  return [
    [PADDED_ROWS_KEYS.tensors, { type: 'array', of: 'string', value: names }],
    [PADDED_ROWS_KEYS.columns, { type: 'array', of: 'uint32', value: columns }],
  ];
}

function metadataOf(model: RealModel): ReadonlyMap<string, GgufEntry> {
  const { family, experts, attentionLayers, kvHeads } = model;
  const number = (value: number): GgufEntry =>
    Number.isInteger(value) ? { type: 'uint32', value } : { type: 'float32', value };
  const isRms = FAMILIES[family]?.layerNorm !== true;
  const kvHeadsOfLayers = Array.from({ length: model.layers }, (_, i) =>
    attentionLayers?.includes(i) ? kvHeads : 0,
  );
  const keys: Record<string, GgufEntry> = {
    context_length: number(model.context),
    embedding_length: number(model.embedding),
    block_count: number(model.layers),
    feed_forward_length: number(model.feedForward),
    'attention.head_count': number(model.heads),
    'attention.head_count_kv':
      attentionLayers === undefined
        ? number(kvHeads)
        : { type: 'array', of: 'int32', value: kvHeadsOfLayers },
    'attention.key_length': number(model.headDim),
    'attention.value_length': number(model.headDim),
    [`attention.layer_norm_${isRms ? 'rms_' : ''}epsilon`]: { type: 'float32', value: 1e-5 },
    ...(experts && {
      expert_count: number(experts.count),
      expert_used_count: number(experts.used),
      expert_feed_forward_length: number(model.feedForward),
    }),
    ...Object.fromEntries(Object.entries(model.keys ?? {}).map(([key, value]) => [key, number(value)])),
  };
  return new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: family }],
    ['general.name', { type: 'string', value: model.name }],
    ...Object.entries(keys).map(([key, entry]) => [`${family}.${key}`, entry] as const),
    // Their number counts, not what they say.
    ['tokenizer.ggml.merges', { type: 'array', of: 'uint8', value: new Uint8Array(model.merges) }],
  ]);
}
