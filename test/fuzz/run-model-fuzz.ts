import { Dice } from '../load/workload.js';
import { attackModel } from './attack-model.js';
import { modelCase, modelVictims } from './model-cases.js';

/** Processor time that the tiniest of models may take, whatever is wrong with it: a hundred times what one takes. */
const MOST_SECONDS = 5;
/** What the process may have had at any time more than before the first case. */
const MORE_MIB = 400;
/** Apart from the indexes of another seed. */
const CASES_PER_SEED = 1_000_003;

export interface ModelFuzzReport {
  readonly cases: number;
  /** By what became of them: codes, or "runs". */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly mistake: string | undefined;
  readonly grownMib: number;
}

export interface ModelFuzzOptions {
  readonly seed: number;
  readonly first: number;
  readonly until: { readonly seconds: number } | { readonly cases: number };
}

/** Loads and runs hostile model files, each from its seed and number alone, in this process. */
export function runModelFuzz({ seed, first, until }: ModelFuzzOptions): ModelFuzzReport {
  const victims = modelVictims();
  const outcomes: Record<string, number> = {};
  const end = 'seconds' in until ? performance.now() + until.seconds * 1_000 : Number.POSITIVE_INFINITY;
  const last = 'cases' in until ? first + until.cases : Number.POSITIVE_INFINITY;
  const mibBefore = mostMib();
  let next = first;
  let mistake: string | undefined;
  for (; mistake === undefined && next < last && performance.now() < end; next++) {
    const { title, bytes } = modelCase(new Dice((seed * CASES_PER_SEED + next) % 0x7fff_ffff), victims);
    const wrong = attack(bytes, outcomes) ?? tooLarge(mibBefore);
    if (wrong === undefined) continue;
    const again = `npm run test:fuzz -- --what models --seed ${seed} --first ${next} --cases 1`;
    mistake = `${title}\n${wrong}\nsee it again: ${again}`;
  }
  return { cases: next - first, outcomes, mistake, grownMib: Math.round(mostMib() - mibBefore) };
}

/** @returns what is wrong about what became of a file */
function attack(bytes: Uint8Array, outcomes: Record<string, number>): string | undefined {
  const before = process.cpuUsage();
  try {
    const outcome = attackModel(bytes);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  } catch (error) {
    return error instanceof Error ? String(error.stack) : String(error);
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  return seconds > MOST_SECONDS ? `it took ${seconds.toFixed(1)} s of processor time` : undefined;
}

function tooLarge(mibBefore: number): string | undefined {
  const more = mostMib() - mibBefore;
  return more > MORE_MIB ? `the process grew by ${Math.round(more)} MiB` : undefined;
}

function mostMib(): number {
  return process.resourceUsage().maxRSS / 1024;
}
