import type { BoardDescription } from '../../board/index.js';
import type { PlacementReport, TensorShape } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  type CoreTypesSetting,
  checkCoreTypes,
  chooseForms,
  type MemoryBudget,
  type ModelShape,
  reportOfFile,
  typeNamed,
} from '../../llm/index.js';
import type {
  ModelDimensions,
  Params,
  MemoryBudget as WireMemoryBudget,
  WirePlacementReport,
} from '../../protocol/index.js';

type Shapes = Params<'models.plan'>['tensors'];

/**
 * Where the tensors of a model file would go now: matrices by the driver's plan, everything else to the CPU. The
 * embedding is looked up, not multiplied with, unless it is the output matrix too.
 * @param plan the driver's
 * @throws PynqLlmError LLM_CORE_TYPES, PROTOCOL_BAD_PARAMS
 */
export function planModel(
  plan: (matrices: readonly TensorShape[]) => PlacementReport,
  shapes: Shapes,
  board: BoardDescription,
  coreTypes: CoreTypesSetting | undefined,
): WirePlacementReport {
  const choices = chooseForms(board, matricesOf(shapes), checkCoreTypes(coreTypes));
  const report = reportOfFile(plan(choices.map(({ shape }) => shape)), choices);
  const planned = new Map(report.tensors.map((tensor) => [tensor.name, tensor]));
  const plain = plainPlacement(report);
  return {
    ...plain,
    tensors: shapes.map(
      (shape) =>
        planned.get(shape.name) ?? {
          ...shape,
          placement: 'cpu' as const,
          reason: /^(token|position)_embd\.weight$/.test(shape.name)
            ? 'rows are looked up, not multiplied'
            : 'not a weight matrix',
          bytes: 0,
        },
    ),
  };
}

/** A report as a message carries it: without `readonly`. */
export function plainPlacement({ tensors, ...report }: PlacementReport): WirePlacementReport {
  return { ...report, tensors: [...tensors] };
}

/** What a model's memory follows from, of what a client says of it. */
export function shapeOf(model: ModelDimensions, shapes: Shapes): ModelShape {
  const vectors = shapes.filter(({ rows }) => rows === 1);
  return {
    ...model,
    vectorValues: vectors.reduce((sum, { columns }) => sum + columns, 0),
    matrices: matricesOf(shapes),
  };
}

/** A budget as a message carries it: without `readonly`. */
export function plainBudget({ short: _, refusal, ...budget }: MemoryBudget): WireMemoryBudget {
  return {
    ...budget,
    lines: [...budget.lines],
    fits: [...budget.fits],
    ...(refusal === undefined ? {} : { refusal }),
  };
}

function matricesOf(shapes: Shapes): TensorShape[] {
  const hasOutput = shapes.some(({ name }) => name === 'output.weight');
  return shapes
    .filter(
      ({ name, rows }) =>
        rows > 1 &&
        name.endsWith('.weight') &&
        name !== 'position_embd.weight' &&
        (name !== 'token_embd.weight' || !hasOutput),
    )
    .map(toShape);
}

function toShape({ name, type, rows, columns }: Shapes[number]): TensorShape {
  const found = typeNamed(type);
  if (found === undefined)
    throw new PynqLlmError('PROTOCOL_BAD_PARAMS', `"${type.slice(0, 20)}" is no type of a tensor.`, {
      context: { tensor: name },
    });
  return { name, type: found, rows, columns };
}
