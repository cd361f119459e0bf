import type { Accelerator, PlacementReport, TensorShape } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { BLOCK_FORMATS, GgmlType } from '../../gguf/index.js';
import type { Params, WirePlacementReport } from '../../protocol/index.js';

type Shapes = Params<'models.plan'>['tensors'];

/**
 * Where the tensors of a model file would go now: matrices by the driver's plan, everything else to the CPU. The
 * embedding is looked up, not multiplied with, unless it is the output matrix too.
 */
export function planModel(accelerator: Accelerator, shapes: Shapes): WirePlacementReport {
  const hasOutput = shapes.some(({ name }) => name === 'output.weight');
  const isMatrix = ({ name, rows }: Shapes[number]) =>
    rows > 1 && name.endsWith('.weight') && (name !== 'token_embd.weight' || !hasOutput);
  const report = accelerator.plan(shapes.filter(isMatrix).map(toShape));
  const planned = new Map(report.tensors.map((tensor) => [tensor.name, tensor]));
  const plain = plainPlacement(report);
  return {
    ...plain,
    tensors: shapes.map(
      (shape) =>
        planned.get(shape.name) ?? {
          ...shape,
          placement: 'cpu' as const,
          reason:
            shape.name === 'token_embd.weight' ? 'rows are looked up, not multiplied' : 'not a weight matrix',
          bytes: 0,
        },
    ),
  };
}

/** A report as a message carries it: without `readonly`. */
export function plainPlacement({ tensors, ...report }: PlacementReport): WirePlacementReport {
  return { ...report, tensors: [...tensors] };
}

function toShape({ name, type, rows, columns }: Shapes[number]): TensorShape {
  const found = Object.values(GgmlType).find((number) => BLOCK_FORMATS[number].name === type);
  if (found === undefined)
    throw new PynqLlmError('PROTOCOL_BAD_PARAMS', `"${type.slice(0, 20)}" is no type of a tensor.`, {
      context: { tensor: name },
    });
  return { name, type: found, rows, columns };
}
