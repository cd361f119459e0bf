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
   * `stored`: the blocks of the file. `integers`: Q6_K with the integers of the file, of which those of 32 weights have their scales
   * rounded and super-blocks are exact. `rounded`: the nearest Q6_K.
   */
  readonly made: 'stored' | 'integers' | 'rounded';
  readonly type: GgmlType;
  /** Of two parts of a row the second, behind the first, has what the first leaves out; both meet the same input. */
  readonly parts: 1 | 2;
  /** Of a row: whole super-blocks of all parts. */
  readonly columns: number;
}

/** A change of how rows are made makes this another number: packed weights that are kept are then made again. */
const FORM_VERSION = 1;

type Made = readonly [made: CoreForm['made'], parts: 1 | 2];

/** By `padded` already. */
const PADDED: Readonly<Partial<Record<GgmlType, Made>>> = {
  [GgmlType.Q4_0]: ['integers', 1],
  [GgmlType.Q5_0]: ['integers', 1],
  // Offsets of these are no multiples of their scales.
  [GgmlType.Q4_1]: ['rounded', 2],
  [GgmlType.Q5_1]: ['rounded', 2],
  [GgmlType.Q8_0]: ['rounded', 2],
  [GgmlType.IQ4_NL]: ['rounded', 2],
  [GgmlType.IQ4_XS]: ['integers', 2],
};

/** By `all` alone. IQ2 types lose less by one part of six bits than they have lost already. */
const OTHERS: Readonly<Partial<Record<GgmlType, Made>>> = {
  [GgmlType.F32]: ['rounded', 2],
  [GgmlType.F16]: ['rounded', 2],
  [GgmlType.BF16]: ['rounded', 2],
  [GgmlType.MXFP4]: ['integers', 1],
  [GgmlType.IQ1_S]: ['integers', 1],
  [GgmlType.IQ1_M]: ['integers', 1],
  [GgmlType.IQ2_XXS]: ['rounded', 1],
  [GgmlType.IQ2_XS]: ['rounded', 1],
  [GgmlType.IQ2_S]: ['rounded', 1],
  [GgmlType.IQ3_XXS]: ['integers', 1],
  [GgmlType.IQ3_S]: ['integers', 1],
  [GgmlType.TQ1_0]: ['integers', 1],
  [GgmlType.TQ2_0]: ['integers', 1],
};

/** What a matrix of a stored type and `columns` values in a row becomes on the core; undefined where it is the CPU's. */
export function coreForm(type: GgmlType, columns: number, setting: CoreTypesSetting): CoreForm | undefined {
  const padded = Math.ceil(columns / SUPER_BLOCK) * SUPER_BLOCK;
  if (coreTypeOf(type) !== undefined) return { made: 'stored', type, parts: 1, columns: padded };
  if (setting === 'exact') return undefined;
  const found = PADDED[type] ?? (setting === 'all' ? OTHERS[type] : undefined);
  if (found === undefined) return undefined;
  const [made, parts] = found;
  return { made, type: GgmlType.Q6_K, parts, columns: parts * padded };
}

/** For people: `Q6_K`, `2 x Q6_K`; nothing where the blocks of the file are multiplied. */
export function nameOfForm({ made, parts }: CoreForm): string | undefined {
  if (made === 'stored') return undefined;
  return parts === 1 ? 'Q6_K' : `${parts} x Q6_K`;
}

/** What tells packed weights that were made so from others, where they are kept. */
export function recipeOf({ made, parts }: CoreForm): string | undefined {
  return made === 'stored' ? undefined : `${made} ${parts} ${FORM_VERSION}`;
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
