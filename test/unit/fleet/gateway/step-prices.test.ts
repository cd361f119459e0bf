import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import type { FleetBoard } from '../../../../fleet/gateway/boards.js';
import { StepPrices } from '../../../../fleet/gateway/step-prices.js';
import type { Plan } from '../../../../fleet/pipeline/plan-record.js';
import { GgmlType, syntheticLlamaHeader, TINY_LLAMA_1B } from '../../../../gguf/index.js';
import { silentLog } from '../../../../listen/index.js';
import { temporaryDirectory } from '../../../system/support/agent.js';
import { TINY_STORIES } from '../../llm/models.js';

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];

/** What boards have now: models, each in a plan if it has a number. */
let all: FleetBoard[];
let plans: Map<number, Plan>;
/** Models whose headers were read, in order. */
let read: string[];
let file: string;
let prices: StepPrices;
beforeEach(() => {
  [all, plans, read, file] = [[], new Map(), [], TINY_STORIES];
  prices = new StepPrices({
    store: {
      path: (digest) => {
        read.push(digest);
        return file;
      },
    },
    log: silentLog,
    boards: {
      get: (name) => all.find((board) => board.name === name),
      get all() {
        return all;
      },
    },
    planOf: (number) => plans.get(number),
  });
});

function board(name: string, ...models: (readonly [digest: string, plan?: number])[]): FleetBoard {
  const info = { description: loadBoardDescription('pynq-z1') };
  const said = models.map(([digest, plan]) => ({
    digest,
    ...(plan === undefined ? {} : { stage: { plan } }),
  }));
  return { name, record: { info, models: said } } as unknown as FleetBoard;
}

it('reads the header of a model once for all boards of a kind, while one of them has it', () => {
  all = [board('one', [A], [B]), board('two', [A])];
  for (const one of all) for (let i = 0; i < 3; i++) prices.of(A, one);
  prices.of(B, all[0]!);
  prices.of(A, all[1]!);
  expect(read).toEqual([A, B]);
});

it('forgets what models took that no board has any more', () => {
  all = [board('one', [A], [B])];
  prices.of(A, all[0]!);
  const kept = prices.of(B, all[0]!);
  all = [board('one', [B], [C])];
  prices.of(C, all[0]!);
  expect(prices.of(B, all[0]!)).toBe(kept);
  all = [board('one', [A], [B], [C])];
  prices.of(A, all[0]!);
  expect(read).toEqual([A, B, C, A]);
});

it('forgets what plans took that are over', () => {
  const planOf = (cut: number) =>
    ({
      stages: [
        { from: 0, to: cut, boards: [{ board: 'one' }] },
        { from: cut, to: 3, boards: [{ board: 'two' }] },
      ],
    }) as unknown as Plan;
  const cutAt = (number: number, cut: number) => {
    plans.set(number, planOf(cut));
    all = [board('one', [A, number]), board('two', [A, number])];
    return prices.of(A, all[1]!);
  };
  const first = cutAt(1, 1);
  expect(prices.of(A, all[0]!)).toBe(first);
  cutAt(2, 2);
  // Cut as the first one was: what that took was forgotten.
  expect(cutAt(3, 1)).not.toBe(first);
  expect(read).toEqual([A, A, A]);
});

it('prices nothing of a model of which the core takes nothing: boards are alike, and nothing is moved for speed', () => {
  using home = temporaryDirectory();
  file = join(home.path, 'f16.gguf');
  writeFileSync(file, syntheticLlamaHeader({ ...TINY_LLAMA_1B, typeOf: () => GgmlType.F16, seed: 1 }));
  all = [board('one', [A])];
  const { stepMs, promptColumns } = prices.of(A, all[0]!);
  expect([stepMs(1), stepMs(8)]).toEqual([0, 0]);
  expect(promptColumns).toBeGreaterThanOrEqual(1);
});
