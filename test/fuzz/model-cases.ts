import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesSource, GgmlType, type GgufEntry, openGguf } from '../../gguf/index.js';
import type { Dice } from '../load/workload.js';
import { changedModel, type ModelChanges, type TensorChange } from './model-bytes.js';
import { mutated } from './mutate.js';

const FOLDER = join('test', 'fixtures', 'families');

/** Values that no model has where a number belongs. */
export const ABSURD: readonly GgufEntry[] = [
  { type: 'uint32', value: 0 },
  { type: 'int32', value: -1 },
  { type: 'uint32', value: 1 },
  { type: 'uint32', value: 3 },
  { type: 'uint32', value: 2 ** 31 },
  { type: 'uint64', value: 2n ** 63n },
  { type: 'float32', value: Number.NaN },
  { type: 'float32', value: Number.NEGATIVE_INFINITY },
  { type: 'float32', value: 1e-40 },
  { type: 'float32', value: 0.5 },
  { type: 'float64', value: 1e300 },
  { type: 'bool', value: true },
  { type: 'string', value: '8' },
  { type: 'string', value: '' },
  { type: 'array', of: 'uint32', value: [] },
  { type: 'array', of: 'int32', value: [0, 2 ** 31 - 1, -1] },
  { type: 'array', of: 'bool', value: [true] },
  { type: 'array', of: 'string', value: ['1', '2'] },
];

/** Values of every weight of a float32 tensor. */
export const ABSURD_WEIGHTS = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3e38, 1e-40];

/** A model file that hostile ones are made of. */
export interface Victim {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Keys of its family and of what it is. */
  readonly keys: readonly string[];
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

export function modelVictims(): Victim[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.gguf'));
  return files.map((file) => {
    const bytes = readFileSync(join(FOLDER, file));
    const gguf = openGguf(bytesSource(bytes));
    const keys = [...gguf.metadata.keys()].filter((key) => !key.startsWith('general.name'));
    return {
      file,
      bytes,
      keys: [...new Set([...keys, ...moreKeys(gguf.metadata)])],
      tensors: [...gguf.tensors.values()],
    };
  });
}

/** Keys that a family knows and the file does without. */
function moreKeys(metadata: ReadonlyMap<string, unknown>): string[] {
  const family = String(metadata.get('general.architecture'));
  const names = [
    ...['attention.key_length', 'attention.value_length', 'attention.scale', 'attention.sliding_window'],
    ...['attention.sliding_window_pattern', 'rope.freq_base_swa', 'attn_logit_softcapping', 'logit_scale'],
    ...['final_logit_softcapping', 'embedding_scale', 'residual_scale', 'rope.dimension_count'],
    ...['rope.freq_base', 'rope.scaling.type', 'rope.scaling.factor', 'rope.scaling.attn_factor'],
    ...['rope.scaling.original_context_length', 'rope.scaling.yarn_ext_factor', 'expert_count'],
    ...['expert_used_count', 'expert_feed_forward_length', 'vocab_size', 'shortconv.l_cache'],
  ];
  return names.map((name) => `${family}.${name}`);
}

/** What a hostile model is, and its bytes. */
export interface ModelCase {
  readonly title: string;
  readonly bytes: Uint8Array;
}

/** A file of a family with one to three absurdities, or with damaged bytes. */
export function modelCase(dice: Dice, victims: readonly Victim[]): ModelCase {
  const victim = dice.pick(victims);
  if (dice.below(4) === 0)
    return { title: `${victim.file}: damaged`, bytes: damagedHeader(dice, victim.bytes) };
  const metadata: Record<string, GgufEntry | undefined> = {};
  const tensors: Record<string, TensorChange | undefined> = {};
  for (let i = dice.below(3) + 1; i > 0; i--) {
    if (dice.below(2) === 0)
      metadata[dice.pick(victim.keys)] = dice.below(8) === 0 ? undefined : dice.pick(ABSURD);
    else {
      const { name, shape } = dice.pick(victim.tensors);
      tensors[name] = dice.below(6) === 0 ? undefined : tensorChange(dice, shape);
    }
  }
  const missingBytes = dice.below(6) === 0 ? dice.below(5000) : 0;
  const changes: ModelChanges = { metadata, tensors, missingBytes };
  return { title: `${victim.file}: ${describe(changes)}`, bytes: changedModel(victim.bytes, changes) };
}

function describe(changes: ModelChanges): string {
  return JSON.stringify(changes, (_, value) => (typeof value === 'bigint' ? String(value) : (value ?? null)));
}

/** Damage within the first bytes, where the header is; the data after it have no meaning that could be wrong. */
function damagedHeader(dice: Dice, bytes: Uint8Array): Uint8Array {
  const from = dice.below(Math.min(bytes.length, 30_000));
  const to = Math.min(bytes.length, from + 64);
  return Buffer.concat([
    bytes.subarray(0, from),
    mutated(dice, bytes.subarray(from, to)),
    bytes.subarray(to),
  ]);
}

function tensorChange(dice: Dice, shape: readonly number[]): TensorChange {
  const kind = dice.below(4);
  if (kind === 0) return { type: dice.pick(Object.values(GgmlType)) };
  if (kind === 1) return { value: dice.pick(ABSURD_WEIGHTS) };
  if (kind === 2)
    return { name: dice.pick(['output.weight', 'x', 'rope_freqs.weight', 'blk.0.attn_q.bias']) };
  return { shape: dice.pick(wrongShapes(shape)) };
}

/** Shapes that are nearly right, and far from it. */
export function wrongShapes(shape: readonly number[]): (readonly number[])[] {
  const [first, ...rest] = shape;
  return [
    [first + 1, ...rest],
    [...rest, first],
    [first],
    [...shape, 2],
    [first, ...rest.map((length) => length + 1)],
    [1, ...rest],
    [2 ** 31, ...rest],
    [2 ** 20, 2 ** 20],
    [1, 1, 1, 1],
  ];
}
