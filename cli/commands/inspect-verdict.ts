import { ERROR_CODES, harmless } from '../../errors/index.js';
import type { ModelCheck, PlanReport } from '../../sdk/index.js';
import { formatShare } from '../output/units.js';

/** Whether a model file runs, and why not. Plain data, as `inspect --json` has it. */
export interface Verdict {
  /** The board that was asked; none where the file runs on no board. */
  readonly board?: string;
  readonly ok: boolean;
  /** Of the weights that a token is multiplied with, those on the core: 0 to 1. */
  readonly onCore?: number;
  /** What `load` would end in. */
  readonly code?: string;
  readonly why?: string;
  readonly remedy?: string;
}

/** Of a file that loading refuses for what it is. */
export function refusedFor({ code, what, remedy }: NonNullable<ModelCheck['problem']>): Verdict {
  return { ok: false, code, why: what, remedy };
}

/** Of a file that loading refuses only where it does not fit. */
export function verdictOf({ board, totals, memory }: PlanReport): Verdict {
  const weights = totals.resident.weights + totals.staged.weights + totals.cpu.weights;
  const onCore = 1 - totals.cpu.weights / Math.max(1, weights);
  if (memory?.refusal === undefined) return { board, ok: true, onCore };
  const { refusal: code, fits } = memory;
  const entry = Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as keyof typeof ERROR_CODES] : undefined;
  // "Nothing was loaded" is nothing to say of what nobody tried.
  const why = (entry?.meaning ?? code).replace(/ Nothing was loaded\.$/, '');
  const remedy = fits.length === 0 ? undefined : `It would fit: ${fits.join('; or ')}.`;
  return { board, ok: false, code, why, ...(remedy && { remedy }) };
}

/** The first lines of `inspect`. */
export function describeVerdict(verdict: Verdict, assumed: readonly string[]): string {
  const lines = [verdict.ok ? yes(verdict) : no(verdict)];
  if (assumed.length > 0)
    lines.push('taken for granted, as llama.cpp does:', ...assumed.map((one) => `  ${one}`));
  return lines.map(harmless).join('\n');
}

function yes({ board, onCore }: Verdict): string {
  if (onCore === undefined) return `runs on ${board}: yes`;
  return onCore === 0
    ? `runs on ${board}: yes, but the core computes nothing of it, because no matrix is of a type that goes there (--core-types all sends every one)`
    : `runs on ${board}: yes, with ${formatShare(onCore)} of the weights on the core`;
}

function no({ board, code, why, remedy = '' }: Verdict): string {
  const where = board === undefined ? 'runs here: no, nor on any other board' : `runs on ${board}: no`;
  return `${where}. ${why} ${remedy} [${code}]`.replace(/ {2,}/g, ' ');
}
