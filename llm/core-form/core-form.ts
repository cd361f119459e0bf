import { PynqLlmError } from '../../errors/index.js';
import { coreTypeOf, GgmlType, SUPER_BLOCK } from '../../gguf/index.js';

/**
 * Which matrices go to the core: `exact`, those of types and rows that it takes as they are; `padded`, also those of rows that are no
 * whole super-blocks, in types that keep nearly all of their precision; `all`, whatever can be made a type that it takes.
 */
export const CORE_TYPES_SETTINGS = ['exact', 'padded', 'all'] as const;
export type CoreTypesSetting = (typeof CORE_TYPES_SETTINGS)[number];

export const DEFAULT_CORE_TYPES: CoreTypesSetting = 'padded';

/** What the core multiplies in place of a matrix. */
export interface CoreForm {
  /**
   * `stored`: the blocks of the file. `integers`: Q6_K with the integers of the file, whose scales are rounded. `rounded`: the
   * nearest Q6_K. `parts`: two Q6_K side by side in a row, the second of what the first leaves out; both meet the same input.
   */
  readonly made: 'stored' | 'integers' | 'rounded' | 'parts';
  readonly type: GgmlType;
  readonly parts: 1 | 2;
  /** Of a row: whole super-blocks of all parts. */
  readonly columns: number;
}

/** A change of how rows are made makes this another number: packed weights that are kept are then made again. */
const FORM_VERSION = 1;

type Made = CoreForm['made'];

/** By `padded` already. */
const PADDED: Readonly<Partial<Record<GgmlType, Made>>> = {
  [GgmlType.Q4_0]: 'integers',
  [GgmlType.Q5_0]: 'integers',
  [GgmlType.Q4_1]: 'parts',
  [GgmlType.Q5_1]: 'parts',
  [GgmlType.Q8_0]: 'parts',
  [GgmlType.IQ4_NL]: 'parts',
  [GgmlType.IQ4_XS]: 'parts',
};

/** By `all` alone: types of few bits lose less by one part of six bits than they have lost already. */
const OTHERS: Readonly<Partial<Record<GgmlType, Made>>> = {
  [GgmlType.F32]: 'parts',
  [GgmlType.F16]: 'parts',
  [GgmlType.BF16]: 'parts',
  [GgmlType.MXFP4]: 'integers',
  [GgmlType.IQ1_S]: 'rounded',
  [GgmlType.IQ1_M]: 'rounded',
  [GgmlType.IQ2_XXS]: 'rounded',
  [GgmlType.IQ2_XS]: 'rounded',
  [GgmlType.IQ2_S]: 'rounded',
  [GgmlType.IQ3_XXS]: 'rounded',
  [GgmlType.IQ3_S]: 'rounded',
  [GgmlType.TQ1_0]: 'rounded',
  [GgmlType.TQ2_0]: 'rounded',
};

/** What a matrix of a stored type and `columns` values in a row becomes on the core; undefined where it is the CPU's. */
export function coreForm(type: GgmlType, columns: number, setting: CoreTypesSetting): CoreForm | undefined {
  const padded = Math.ceil(columns / SUPER_BLOCK) * SUPER_BLOCK;
  if (coreTypeOf(type) !== undefined) return { made: 'stored', type, parts: 1, columns };
  const made = setting === 'exact' ? undefined : (PADDED[type] ?? (setting === 'all' ? OTHERS[type] : undefined));
  if (made === undefined) return undefined;
  const parts = made === 'parts' ? 2 : 1;
  return { made, type: GgmlType.Q6_K, parts, columns: parts * padded };
}

/** For people: `Q6_K`, `2 x Q6_K`; nothing where the blocks of the file are multiplied. */
export function nameOfForm({ made, parts }: CoreForm): string | undefined {
  if (made === 'stored') return undefined;
  return parts === 1 ? 'Q6_K' : `${parts} x Q6_K`;
}

/** What tells packed weights that were made so from others, where they are kept. */
export function recipeOf({ made }: CoreForm): string | undefined {
  return made === 'stored' ? undefined : `${made} ${FORM_VERSION}`;
}

/** @throws PynqLlmError LLM_CORE_TYPES */
export function checkCoreTypes(setting: string = DEFAULT_CORE_TYPES): CoreTypesSetting {
  const found = CORE_TYPES_SETTINGS.find((one) => one === setting);
  if (found !== undefined) return found;
  throw new PynqLlmError(
    'LLM_CORE_TYPES',
    `"${String(setting).slice(0, 20)}" does not say which matrices go to the core.`,
    { context: { coreTypes: String(setting).slice(0, 20) } },
  );
}
