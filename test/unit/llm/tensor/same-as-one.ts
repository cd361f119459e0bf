import { expect } from 'vitest';
import { fleetModel } from '../../../../fleet/index.js';
import { tensorCuts } from '../../../../fleet/plan/tensor-cut.js';
import { GgmlType } from '../../../../gguf/index.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import type { TensorCut } from '../../../../llm/tensor/cut.js';
import { TINY_STORIES } from '../models.js';
import { expectSameBits } from '../same-bits.js';
import {
  type GroupSettings,
  type MemberReport,
  MemberThreads,
  type ModelSource,
  openSource,
  type PlainColumn,
  runAlone,
  type Work,
} from './members.js';

const { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_0, F16 } = GgmlType;
export const TINY: ModelSource = { file: TINY_STORIES };
export const WIDE: ModelSource = {
  types: [Q2_K, Q3_K, Q4_K, Q5_K, Q6_K],
  dimensions: { embedding: 512, heads: 8, kvHeads: 2, feedForward: 1024, vocabulary: 300 },
};
export const MIXED: ModelSource = {
  types: [Q8_0, Q3_K, F16],
  dimensions: { heads: 8, kvHeads: 4, feedForward: 512, vocabulary: 300 },
};

/** Every way to cut a model over so many members. */
export function cutsOf(
  source: ModelSource,
  members: number,
  speeds = new Array<number>(members).fill(1),
): TensorCut[] {
  return tensorCuts(fleetModel(openSource(source)), speeds);
}

/** A prompt in two chunks beside another sequence that decodes, then both decode. */
const STEPS: readonly (readonly PlainColumn[])[] = [
  [...chunk(0, 0, 9), [1, 5, 0, true]],
  [...chunk(0, 9, 18, true), [1, 6, 1, true]],
  [
    [1, 7, 2, true],
    [0, 40, 18, true],
  ],
  [[0, 41, 19, true]],
];

function chunk(cache: number, from: number, to: number, wanted = false): PlainColumn[] {
  return Array.from({ length: to - from }, (_, i) => [
    cache,
    3 + (((from + i) * 37) % 250),
    from + i,
    wanted && from + i === to - 1,
  ]);
}

const PROMPT = Array.from({ length: 40 }, (_, i) => 3 + ((i * 37) % 250));

/** What an engine is asked for, of several kinds. */
export const REQUESTS: readonly GenerateRequest[] = [
  { prompt: PROMPT, maxTokens: 12, ignoreEos: true, sampling: { temperature: 0 } },
  { prompt: PROMPT.slice(0, 7), maxTokens: 12, ignoreEos: true, sampling: { temperature: 1, seed: 3 } },
  { prompt: PROMPT.slice(0, 35), maxTokens: 9, ignoreEos: true, sampling: { temperature: 0.7, seed: 4 } },
  {
    prompt: PROMPT.slice(2, 9),
    maxTokens: 20,
    ignoreEos: true,
    promptLookup: true,
    sampling: { temperature: 0 },
  },
];

/** Members in threads, and what one board gives, once for all cuts of a model. */
export class MembersAgainstOne {
  readonly threads = new MemberThreads();
  readonly #alone = new Map<string, ReturnType<typeof runAlone>>();

  /** All members together give what one board gives. @returns their reports */
  async expectSame(settings: GroupSettings, work: Work = { steps: STEPS }): Promise<MemberReport[]> {
    const reports = await this.threads.run(settings, work);
    for (const { error } of reports) expect(error).toBeUndefined();
    const alone = this.#aloneOnce(settings, work);
    expect(reports[0].logits).toHaveLength(alone.logits.length);
    for (const [i, expected] of alone.logits.entries()) expectSameBits(reports[0].logits[i], expected);
    expect(reports[0].outcomes).toEqual(alone.outcomes);
    return reports;
  }

  /** The same with every cut over so many members, keys and values as halves with the first one and in INT8 with others. */
  async expectSameOfAllCuts(source: ModelSource, members: number): Promise<void> {
    for (const [i, cut] of cutsOf(source, members).entries())
      await this.expectSame({ source, cut, kvType: i === 0 ? 'f16' : 'int8' });
  }

  /** The same of what an engine generates. */
  async expectSameTokens(members: number, kvType: 'f16' | 'int8'): Promise<void> {
    const [cut] = cutsOf(TINY, members);
    const settings = { source: TINY, cut, kvType };
    const [{ outcomes }] = await this.expectSame(settings, { requests: REQUESTS, engine: {} });
    expect(outcomes.map(({ tokens }) => tokens.length)).toEqual([12, 12, 9, 20]);
  }

  #aloneOnce(settings: GroupSettings, work: Work) {
    const { source, kvType, maxColumns, cores } = settings;
    const key = JSON.stringify([source, kvType, maxColumns, cores, work]);
    const result = this.#alone.get(key) ?? runAlone(settings, work);
    this.#alone.set(key, result);
    return result;
  }
}
