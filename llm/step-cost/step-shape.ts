import type { TensorShape } from '../../driver/index.js';
import type { GgufFile } from '../../gguf/index.js';
import { readConfig } from '../model/config.js';
import { findTensors, matrices } from '../model/tensors.js';

/** A layer's matrices; those that stand together share an input. */
export interface LayerShape {
  /** What every column goes through, also those of the last layer that want no logits. */
  readonly always: readonly TensorShape[];
  /** With the same input, of those that go on. */
  readonly query: readonly TensorShape[];
  readonly after: readonly (readonly TensorShape[])[];
  /** Of an expert each: gate and up, and down. */
  readonly experts: readonly {
    readonly gateUp: readonly TensorShape[];
    readonly down: readonly TensorShape[];
  }[];
}

/** What a step computes with, from a model's header alone. Plain data. */
export interface StepShape {
  readonly layers: readonly LayerShape[];
  readonly output: TensorShape;
  /** Experts that a token uses, of those that a layer has. */
  readonly expertsUsed: number;
}

/** What a part of a layer's matrix is by the end of its name; others have an input of their own. */
const ALWAYS = /^(attn_[kv]|shortconv\.in_proj)\.weight$|^attn_qkv\.weight:[kv]$/;
const QUERY = /^attn_q\.weight$|^attn_qkv\.weight:q$/;
const GATE_UP = /^ffn_(gate|up)\.weight(:(gate|up))?$/;
const EXPERT = /^ffn_(gate|up|down)_exps\.weight:(\d+)$/;
const LAYER = /^blk\.(\d+)\.(.*)$/;

/**
 * Reads what a step computes with from a model's header.
 * @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_*, LLM_TENSOR_*, LLM_ROPE_SCALING_UNSUPPORTED
 */
export function stepShape(gguf: GgufFile): StepShape {
  const config = readConfig(gguf);
  return shapeOfStep(matrices(findTensors(gguf, config)), config.layers, config.experts?.used ?? 0);
}

/** Puts a model's matrices together by who shares an input; the last of them is the output's. */
function shapeOfStep(all: readonly TensorShape[], layers: number, expertsUsed = 0): StepShape {
  const byLayer: [string, TensorShape][][] = Array.from({ length: layers }, () => []);
  for (const { name, type, rows, columns } of all) {
    const [, layer, part] = LAYER.exec(name) ?? [];
    if (layer !== undefined && part !== undefined)
      byLayer[Number(layer)]?.push([part, { name, type, rows, columns }]);
  }
  const { name, type, rows, columns } = all.at(-1)!;
  return { layers: byLayer.map(layerOf), output: { name, type, rows, columns }, expertsUsed };
}

function layerOf(matrices: readonly [string, TensorShape][]): LayerShape {
  const pick = (which: RegExp) => matrices.filter(([part]) => which.test(part)).map(([, shape]) => shape);
  const experts: { gateUp: TensorShape[]; down: TensorShape[] }[] = [];
  for (const [part, shape] of matrices) {
    const [, kind, index] = EXPERT.exec(part) ?? [];
    if (index === undefined) continue;
    experts[Number(index)] ??= { gateUp: [], down: [] };
    experts[Number(index)]![kind === 'down' ? 'down' : 'gateUp'].push(shape);
  }
  const after: TensorShape[][] = [];
  let gateUp: TensorShape[] | undefined;
  for (const [part, shape] of matrices) {
    if ([ALWAYS, QUERY, EXPERT].some((which) => which.test(part))) continue;
    const isGateUp = GATE_UP.test(part);
    if (isGateUp && gateUp !== undefined) gateUp.push(shape);
    else after.push([shape]);
    if (isGateUp) gateUp ??= after.at(-1);
  }
  return { always: pick(ALWAYS), query: pick(QUERY), after, experts };
}
