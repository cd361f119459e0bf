import { type BoardDescription, type MatMulCost, matMulCycles } from '../../board/index.js';
import { refusal, rowsPerTile, type TensorShape } from '../../driver/index.js';
import { coreTypeOf, SUPER_BLOCK } from '../../gguf/index.js';
import { type CoreForm, type CoreTypesSetting, coreForm, DEFAULT_CORE_TYPES, recipeOf } from './core-form.js';

/** A matrix, and what the driver is told of it. */
export interface FormChoice {
  /** As in the file. */
  readonly tensor: TensorShape;
  /** What the core multiplies; the matrix of the file where that is the CPU's. */
  readonly shape: TensorShape;
  /** Undefined where the matrix is the CPU's. */
  readonly form: CoreForm | undefined;
  /** Why it is the CPU's although there is a form of it. */
  readonly reason: string | undefined;
}

/** Instructions of a multiply-add on blocks of 32, one column, of Q8_0: counted on armv7 under QEMU (docs/weights.md). */
const INSTRUCTIONS = 7.8;

/**
 * Multiply-adds a second of one thread on blocks of 32, by which a matrix of two parts is left to the CPU where that is faster: 0.8
 * instructions a cycle of 650 MHz and of 1333 MHz. Fixed figures, so that the choice, and with it every bit that is computed, is a
 * function of file, board description and setting.
 */
const CPU_RATE: Readonly<Record<BoardDescription['architecture'], number>> = {
  armv7: (0.8 * 650e6) / INSTRUCTIONS,
  aarch64: (0.8 * 1333e6) / INSTRUCTIONS,
};

/** Decides for each matrix what of it the core multiplies, if anything. Pure: a function of shapes, description and setting. */
export function chooseForms(
  board: BoardDescription,
  tensors: readonly TensorShape[],
  setting: CoreTypesSetting = DEFAULT_CORE_TYPES,
): FormChoice[] {
  // Layers are alike.
  const known = new Map<string, Pick<FormChoice, 'form' | 'reason'>>();
  return tensors.map((tensor) => {
    const { type, rows, columns } = tensor;
    const key = `${type} ${rows} ${columns}`;
    const chosen = known.get(key) ?? chooseForm(board, tensor, setting);
    known.set(key, chosen);
    const { form, reason } = chosen;
    return { tensor, shape: form === undefined ? tensor : shapeOf(tensor, form), form, reason };
  });
}

/** A matrix as the core has it. */
function shapeOf(tensor: TensorShape, form: CoreForm): TensorShape {
  const { type, columns } = form;
  if (form.made === 'stored' && columns === tensor.columns) return tensor;
  const recipe = recipeOf(form);
  return { ...tensor, type, columns, ...(recipe !== undefined && { recipe }) };
}

function chooseForm(
  board: BoardDescription,
  tensor: TensorShape,
  setting: CoreTypesSetting,
): Pick<FormChoice, 'form' | 'reason'> {
  const form = coreForm(tensor.type, tensor.columns, setting);
  if (form === undefined) return { form, reason: undefined };
  const why = refusal(board, shapeOf(tensor, form));
  if (why !== undefined) return { form: undefined, reason: form.made === 'stored' ? why : `as Q6_K: ${why}` };
  if (setting === 'all' || form.parts === 1) return { form, reason: undefined };
  const core = coreSeconds(board, tensor.rows, form);
  const cpu = (tensor.rows * tensor.columns) / CPU_RATE[board.architecture];
  if (core <= cpu) return { form, reason: undefined };
  const ms = (seconds: number) => `${(seconds * 1000).toPrecision(2)} ms`;
  return {
    form: undefined,
    reason: `two parts would take the core ${ms(core)}, one CPU core ${ms(cpu)}`,
  };
}

/** Seconds of one column, in the board's timing. */
function coreSeconds(board: BoardDescription, rows: number, { type, columns }: CoreForm): number {
  const coreType = coreTypeOf(type);
  if (coreType === undefined) throw new Error('a form is of a type of the core');
  const kb = columns / SUPER_BLOCK;
  const perTile = rowsPerTile(kb, board.capacity.weightBlocks);
  const cost: MatMulCost = { core: board, coreType, kb, rows, columns: 1, rowsPerTile: perTile };
  return matMulCycles(cost) / board.clockHz;
}
