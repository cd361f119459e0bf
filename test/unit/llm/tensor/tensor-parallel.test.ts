import { describe, expect, it } from 'vitest';
import { fleetModel } from '../../../../fleet/index.js';
import { tensorCuts } from '../../../../fleet/plan/tensor-cut.js';
import { GgmlType } from '../../../../gguf/index.js';
import type { TensorCut } from '../../../../llm/tensor/cut.js';
import { TINY_STORIES } from '../models.js';
import { expectSameBits } from '../same-bits.js';
import {
  type GroupSettings,
  type ModelSource,
  openSource,
  type PlainColumn,
  runAlone,
  runMembers,
} from './members.js';

const { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_0, F16 } = GgmlType;
const TINY: ModelSource = { file: TINY_STORIES };
const WIDE: ModelSource = {
  types: [Q2_K, Q3_K, Q4_K, Q5_K, Q6_K],
  dimensions: { embedding: 512, heads: 8, kvHeads: 2, feedForward: 1024, vocabulary: 300 },
};
const MIXED: ModelSource = {
  types: [Q8_0, Q3_K, F16],
  dimensions: { heads: 8, kvHeads: 4, feedForward: 512, vocabulary: 300 },
};

function cutsOf(
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

async function expectSame(settings: GroupSettings, steps = STEPS) {
  const reports = await runMembers(settings, steps);
  for (const { error } of reports) expect(error).toBeUndefined();
  const { logits } = reports[0];
  const alone = runAlone(settings, steps);
  expect(logits).toHaveLength(alone.length);
  for (const [i, expected] of alone.entries()) expectSameBits(logits[i], expected);
  return reports;
}

describe('a model of which several boards have rows', () => {
  for (const [name, source, members] of [
    ['tiny-stories', TINY, 2],
    ['tiny-stories', TINY, 4],
    ['wide heads', WIDE, 2],
    ['wide heads', WIDE, 3],
    ['wide heads', WIDE, 8],
    ['mixed types', MIXED, 2],
  ] as const)
    for (const which of [0, 1])
      it(`${name} gives one board's bits on ${members}, cut ${which}`, async () => {
        const cut = cutsOf(source, members)[which];
        await expectSame({ source, cut, kvType: which === 0 ? 'f16' : 'int8' });
      });
});
