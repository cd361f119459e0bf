import type { BoardDescription } from '../../board/index.js';
import { type TensorShape, type TokenCycles, tokenCycles } from '../../driver/index.js';
import { CORE_WORDS, coreTypeOf, rowBytes, SUPER_BLOCK } from '../../gguf/index.js';
import { chooseForms, type FormChoice } from './choose-forms.js';
import { type CoreTypesSetting, DEFAULT_CORE_TYPES } from './core-form.js';

/** What of a model's matrices a board's core multiplies for a token of one sequence, were there memory for all of it. */
export interface CoreUse {
  /** Multiply-adds of a token, and those of matrices that the core takes; padding and second parts do not count. */
  readonly multiplyAdds: number;
  readonly onCore: number;
  /** onCore / multiplyAdds, 0 to 1. */
  readonly share: number;
  /** Core cycles, in the board's timing. */
  readonly cycles: TokenCycles;
  /** Bytes that the core's weights take more than in the file, where they have another form there. */
  readonly extraBytes: number;
}

/**
 * A function of a header alone.
 *
 * @param matrices as `modelShape(gguf).matrices` has them
 * @param expertShare of matrices of experts, what a token uses: `expert_used_count / expert_count`
 */
export function coreUse(
  matrices: readonly TensorShape[],
  board: BoardDescription,
  setting: CoreTypesSetting = DEFAULT_CORE_TYPES,
  expertShare = 1,
): CoreUse {
  const choices = chooseForms(board, matrices, setting);
  const [experts, others] = [true, false].map((of) =>
    useOf(
      board,
      choices.filter(({ tensor }) => /_exps\.weight/.test(tensor.name) === of),
    ),
  );
  const add = (a: number, b: number): number => a + Math.round(expertShare * b);
  const multiplyAdds = add(others.multiplyAdds, experts.multiplyAdds);
  const onCore = add(others.onCore, experts.onCore);
  return {
    multiplyAdds,
    onCore,
    share: onCore / Math.max(1, multiplyAdds),
    cycles: {
      words: add(others.cycles.words, experts.cycles.words),
      hls: add(others.cycles.hls, experts.cycles.hls),
    },
    extraBytes: others.extraBytes + experts.extraBytes,
  };
}

function useOf(board: BoardDescription, choices: readonly FormChoice[]): Omit<CoreUse, 'share'> {
  const onCore = choices.filter(({ form }) => form !== undefined);
  return {
    multiplyAdds: weightsOf(choices),
    onCore: weightsOf(onCore),
    cycles: tokenCycles(
      board,
      onCore.map(({ shape }) => shape),
      onCore.map(() => 'resident'),
    ),
    extraBytes: choices.reduce((sum, choice) => sum + extraBytes(choice), 0),
  };
}

function weightsOf(choices: readonly FormChoice[]): number {
  return choices.reduce((sum, { tensor: { rows, columns } }) => sum + rows * columns, 0);
}

/** What a matrix takes more on the core than in the file; 0 where the core multiplies what the file has. */
export function extraBytes({ tensor, shape, form }: FormChoice): number {
  const coreType = form && coreTypeOf(form.type);
  if (form === undefined || coreType === undefined || form.made === 'stored') return 0;
  const blocks = (shape.rows * form.columns) / SUPER_BLOCK;
  return blocks * CORE_WORDS[coreType] * 4 - tensor.rows * rowBytes(tensor.type, tensor.columns);
}
