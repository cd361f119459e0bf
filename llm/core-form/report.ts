import type { Placement, PlacementReport, TensorPlacement } from '../../driver/index.js';
import { BLOCK_FORMATS } from '../../gguf/index.js';
import type { FormChoice } from './choose-forms.js';
import { nameOfForm } from './core-form.js';
import { extraBytes } from './core-use.js';

/**
 * The driver's report of what the core multiplies, as one of the matrices of the file.
 * @param choices of the tensors that the report is of, in its order
 */
export function reportOfFile(report: PlacementReport, choices: readonly FormChoice[]): PlacementReport {
  const tensors = report.tensors.map((placed, i) => tensorOfFile(placed, choices[i]));
  const totalsOf = (placement: Placement) => ({
    ...report.totals[placement],
    weights: tensors.reduce(
      (sum, tensor) => sum + (tensor.placement === placement ? tensor.rows * tensor.columns : 0),
      0,
    ),
  });
  return {
    ...report,
    tensors,
    totals: { resident: totalsOf('resident'), staged: totalsOf('staged'), cpu: totalsOf('cpu') },
  };
}

function tensorOfFile(placed: TensorPlacement, choice: FormChoice): TensorPlacement {
  const { tensor, form, reason } = choice;
  const { rows, columns } = tensor;
  const shape = { ...placed, rows, columns, type: BLOCK_FORMATS[tensor.type].name };
  if (placed.placement === 'cpu') return { ...shape, reason: reason ?? placed.reason };
  const name = form && nameOfForm(form);
  return name === undefined ? shape : { ...shape, form: name, extraBytes: extraBytes(choice) };
}
