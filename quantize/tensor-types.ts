import { BLOCK_FORMATS, coreTypeOf, GgmlType } from '../gguf/index.js';
import { isQuantized, type Mixture, type MixtureName } from './mixtures.js';
import { layerOf } from './tensor-order.js';

/** What the choice of types asks of a model. */
export interface ModelShape {
  readonly layers: number;
  /** Query heads for each head of keys and values in the first layer; 0 where it has none. */
  readonly groupedHeads: number;
  /** Experts of a mixture; 0 of a dense model. */
  readonly experts: number;
  /** LLaMA-2 70B and its like, whose value matrices are small. */
  readonly isLlama70B: boolean;
}

/** A tensor to choose a type for. */
export interface TensorShape {
  readonly name: string;
  readonly type: GgmlType;
  /** The length of a row first. */
  readonly shape: readonly number[];
}

/** A type that the user wants for tensors whose name matches. */
export interface TensorRule {
  matches(name: string): boolean;
  readonly type: GgmlType;
}

export interface TypeChoice {
  readonly mixture: Mixture;
  readonly model: ModelShape;
  /** The first that matches holds, for all but its block size. */
  readonly rules?: readonly TensorRule[];
  /** No mixture: one type for all. */
  readonly pure?: boolean;
  /** Rows are padded to whole super-blocks, so that they can have the core's types; else they get others, as llama-quantize gives them. */
  readonly pad?: boolean;
  /** Types of `output.weight`, and of the embedding. */
  readonly outputType?: GgmlType;
  readonly embeddingType?: GgmlType;
  /** Whether an importance matrix is given. */
  readonly hasImportance?: boolean;
}

type Role = 'output' | 'embedding' | 'values' | 'qkv' | 'keys' | 'attention-output' | 'ffn-down' | 'other';

/** Parts of names of tensors that stay as they are: routers, short convolutions and other small or sensitive ones. */
const KEPT = [
  ...['_norm.weight', 'ffn_gate_inp.weight', 'ffn_gate_tid2eid.weight', 'altup', 'laurel'],
  ...['per_layer_model_proj', 'ssm_conv1d', 'shortconv.conv.weight', 'attn_rel_b.weight', '.position_embd'],
  ...['indexer.k_proj.weight', 'indexer.q_proj.weight', 'time_mix_'],
];
const KEPT_NAMES = ['position_embd.weight', 'token_types.weight'];

/** Whether llama-quantize touches a tensor at all: matrices named weight, and stacks of them. */
export function isQuantizable({ name, shape }: TensorShape): boolean {
  return (
    trimmedShape(shape).length >= 2 &&
    name.endsWith('weight') &&
    !KEPT_NAMES.includes(name) &&
    !KEPT.some((part) => name.includes(part))
  );
}

/** Dimensions of 1 at the end are not written. */
export function trimmedShape(shape: readonly number[]): readonly number[] {
  const last = shape.findLastIndex((length) => length !== 1);
  return shape.slice(0, Math.max(1, last + 1));
}

/**
 * The type that each tensor gets, in llama-quantize's order of tensors: its choice counts the layers' tensors as it meets them
 * (llama_tensor_get_type of llama-quant.cpp, the architectures of this package).
 */
export function chooseTypes(tensors: readonly TensorShape[], choice: TypeChoice): GgmlType[] {
  const isTied = !tensors.some(({ name }) => name === 'output.weight');
  const counts: Counts = {
    values: 0,
    down: 0,
    allValues: tensors.filter(({ name }) => isValues(roleOf(name))).length,
  };
  return tensors.map((tensor) =>
    isQuantizable(tensor) ? typeOf(tensor, choice, isTied, counts) : tensor.type,
  );
}

interface Counts {
  values: number;
  down: number;
  readonly allValues: number;
}

function typeOf(tensor: TensorShape, choice: TypeChoice, isTied: boolean, counts: Counts): GgmlType {
  const role = roleOf(tensor.name);
  const { mixture, outputType, embeddingType, rules = [], pure } = choice;
  if (role === 'embedding' && embeddingType !== undefined) return embeddingType;
  if (role === 'output' && outputType !== undefined) return outputType;
  if (!isQuantized(mixture.type)) return mixture.type;
  const rule = rules.find((one) => one.matches(tensor.name));
  const wanted = rule?.type ?? (pure ? mixture.type : mixedType(tensor, role, choice, isTied, counts));
  const isPadded = choice.pad === true && coreTypeOf(wanted) !== undefined;
  return isPadded ? wanted : fitting(wanted, tensor.shape[0]);
}

function roleOf(name: string): Role {
  if (name === 'output.weight') return 'output';
  if (name === 'token_embd.weight' || name === 'per_layer_token_embd.weight') return 'embedding';
  if (name.includes('attn_qkv.weight')) return 'qkv';
  if (name.includes('attn_kv_b.weight') || name.includes('attn_v.weight')) return 'values';
  if (name.includes('attn_k.weight')) return 'keys';
  if (name.includes('attn_output.weight')) return 'attention-output';
  return name.includes('ffn_down') ? 'ffn-down' : 'other';
}

function isValues(role: Role): boolean {
  return role === 'values' || role === 'qkv';
}

function mixedType(
  tensor: TensorShape,
  role: Role,
  choice: TypeChoice,
  isTied: boolean,
  counts: Counts,
): GgmlType {
  const { mixture, model, outputType, hasImportance = false, pad = false } = choice;
  if (role === 'output' || (role === 'embedding' && isTied)) {
    if (outputType !== undefined) return outputType;
    if (!pad && tensor.shape[0] % BLOCK_FORMATS[mixture.type].blockSize !== 0) return GgmlType.Q8_0;
    return mixture.type === GgmlType.Q8_0 ? GgmlType.Q8_0 : GgmlType.Q6_K;
  }
  if (role === 'embedding') return mixture.type;
  if (isValues(role)) return typeOfValues(mixture, model, counts.values++, counts.allValues);
  if (role === 'keys') return model.experts === 8 ? GgmlType.Q8_0 : mixture.type;
  if (role === 'attention-output') return typeOfAttentionOutput(mixture, model.experts);
  if (role !== 'ffn-down') return mixture.type;
  // Stacks of experts do not come one a layer, so their layer is read.
  const layer = model.experts > 1 ? layerOf(tensor.name) : counts.down;
  counts.down++;
  return typeOfDown(mixture, layer, model.layers, hasImportance);
}

const FIVE_BITS_FOR_EIGHT_EXPERTS: readonly MixtureName[] = [
  ...(['Q2_K', 'Q3_K_S', 'Q3_K_M', 'Q4_K_S', 'Q4_K_M', 'IQ4_NL', 'IQ4_XS'] as const),
];

function typeOfAttentionOutput({ name, type }: Mixture, experts: number): GgmlType {
  if (experts === 8) return FIVE_BITS_FOR_EIGHT_EXPERTS.includes(name) ? GgmlType.Q5_K : type;
  switch (name) {
    case 'Q2_K':
      return GgmlType.Q3_K;
    case 'Q3_K_M':
      return GgmlType.Q4_K;
    case 'Q3_K_L':
      return GgmlType.Q5_K;
    default:
      return type;
  }
}

function typeOfValues({ name, type }: Mixture, model: ModelShape, index: number, all: number): GgmlType {
  if (model.experts === 8) return GgmlType.Q8_0;
  const chosen = ((): GgmlType => {
    switch (name) {
      case 'Q2_K':
        return model.groupedHeads >= 4 ? GgmlType.Q4_K : GgmlType.Q3_K;
      case 'Q2_K_S':
        return model.groupedHeads >= 4 ? GgmlType.Q4_K : type;
      case 'Q3_K_M':
        return index < 2 ? GgmlType.Q5_K : GgmlType.Q4_K;
      case 'Q3_K_L':
        return GgmlType.Q5_K;
      case 'IQ4_NL':
      case 'IQ4_XS':
        return model.groupedHeads >= 4 ? GgmlType.Q5_K : type;
      case 'Q4_K_M':
      case 'Q5_K_M':
        return getsMoreBits(index, all) ? GgmlType.Q6_K : type;
      case 'Q4_K_S':
        return index < 4 ? GgmlType.Q5_K : type;
      default:
        return type;
    }
  })();
  return model.isLlama70B && (chosen === GgmlType.Q3_K || chosen === GgmlType.Q4_K) ? GgmlType.Q5_K : chosen;
}

function typeOfDown(
  { name, type }: Mixture,
  layer: number,
  layers: number,
  hasImportance: boolean,
): GgmlType {
  const isEarly = layer < Math.floor(layers / 8);
  switch (name) {
    case 'Q2_K':
      return GgmlType.Q3_K;
    case 'Q2_K_S':
      return isEarly ? GgmlType.Q4_K : type;
    case 'Q3_K_M':
      return layer < Math.floor(layers / 16) ? GgmlType.Q5_K : GgmlType.Q4_K;
    case 'Q3_K_L':
      return GgmlType.Q5_K;
    case 'Q4_K_M':
    case 'Q5_K_M':
      return getsMoreBits(layer, layers) ? GgmlType.Q6_K : type;
    case 'IQ4_NL':
    case 'IQ4_XS':
      return isEarly && !hasImportance ? GgmlType.Q5_K : type;
    case 'Q4_K_S':
      return isEarly ? GgmlType.Q5_K : type;
    case 'Q4_0':
      return isEarly && hasImportance ? GgmlType.Q4_1 : type;
    case 'Q5_0':
      return isEarly && hasImportance ? GgmlType.Q5_1 : type;
    default:
      return type;
  }
}

/** The first and last eighth, and every third between. */
function getsMoreBits(index: number, all: number): boolean {
  const eighth = Math.floor(all / 8);
  return index < eighth || index >= Math.floor((7 * all) / 8) || (index - eighth) % 3 === 2;
}

/** The type, or what llama-quantize takes instead where rows are no whole blocks of it. */
function fitting(type: GgmlType, columns: number): GgmlType {
  const isWhole = (one: GgmlType) => columns % BLOCK_FORMATS[one].blockSize === 0;
  if (isWhole(type)) return type;
  const smaller = SMALLER_BLOCKS[type] ?? type;
  return isWhole(smaller) ? smaller : GgmlType.F16;
}

const SMALLER_BLOCKS: Readonly<Partial<Record<GgmlType, GgmlType>>> = {
  [GgmlType.Q2_K]: GgmlType.Q4_0,
  [GgmlType.Q3_K]: GgmlType.Q4_0,
  [GgmlType.Q4_K]: GgmlType.Q5_0,
  [GgmlType.Q5_K]: GgmlType.Q5_1,
  [GgmlType.Q6_K]: GgmlType.Q8_0,
  [GgmlType.IQ4_XS]: GgmlType.IQ4_NL,
};
