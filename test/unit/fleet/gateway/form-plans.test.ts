import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import type { FleetBoard } from '../../../../fleet/gateway/boards.js';
import { type CutMode, cutOtherwise, formPlans, mayGrow } from '../../../../fleet/gateway/form-plans.js';
import { RoundTrips } from '../../../../fleet/gateway/group-plans.js';
import type { BoardRecord } from '../../../../fleet/messages.js';
import type { PlannedStage } from '../../../../fleet/pipeline/plan-record.js';
import { refusalOf, TINY_LLAMA } from '../models.js';

const REQUEST = { contextLength: 256, kvType: 'f16', kvBytes: undefined, maxColumns: 8 } as const;
const DESCRIPTION = loadBoardDescription('kv260-2026-v3');

/** Boards that can hold all of the model; those named in `unlinked` have no links. */
function boardsNamed(names: string, unlinked = ''): FleetBoard[] {
  return [...names].map((name) => ({
    name,
    owner: `owner-${name}`,
    counts: { tokens: 0, redelivered: 0 },
    record: {
      info: { description: DESCRIPTION },
      ...(!unlinked.includes(name) && { links: { host: name, port: 1, fingerprint: '' } }),
    } as unknown as BoardRecord,
  }));
}

const modeOf = (stages: CutMode['stages'], boards: number): CutMode => ({
  stages,
  tensor: { boards, isForced: true },
});
/** Boards of each stage of each plan, and where its layers end. */
const cutsOf = (plans: readonly (readonly PlannedStage[])[]) =>
  plans.map((stages) => stages.map(({ boards, to }) => [boards.map(({ board }) => board).join(''), to]));
const form = (
  boards: readonly FleetBoard[],
  mode: CutMode,
  { short = false, together = [] }: { short?: boolean; together?: string[] } = {},
) =>
  formPlans(TINY_LLAMA, boards, REQUEST, mode, short, {
    roundTrips: new RoundTrips(),
    together: together.map((names) => [...names].map((name) => `owner-${name}`)),
  });

describe('plans of groups of boards', () => {
  it('have as many stages as asked for, side by side, all layers once and balanced', () => {
    const plans = form(boardsNamed('abcdefghi'), modeOf(2, 2));
    expect(cutsOf(plans)).toEqual([
      [
        ['ab', 12],
        ['cd', 22],
      ],
      [
        ['ef', 12],
        ['gh', 22],
      ],
    ]);
    for (const [first, last] of plans) {
      expect(first!.rows?.links.map(({ host }) => host).join('')).toHaveLength(2);
      expect([first!.from, last!.from]).toEqual([0, 12]);
    }
  });

  it('with auto have as few stages as the model fits', () => {
    expect(cutsOf(form(boardsNamed('abcd'), modeOf('auto', 2)))).toEqual([[['ab', 22]], [['cd', 22]]]);
  });

  it('wait for boards, and have whole groups of what there is once they may be short', () => {
    expect(refusalOf(() => form(boardsNamed('abc', 'abc'), modeOf(2, 2), { short: true })).code).toBe(
      'FLEET_LINKS_OFF',
    );
    expect(form(boardsNamed('abc'), modeOf(2, 2))).toEqual([]);
    expect(form([], modeOf(2, 2), { short: true })).toEqual([]);
    expect(cutsOf(form(boardsNamed('abc'), modeOf(2, 2), { short: true }))).toEqual([[['ab', 22]]]);
    expect(cutsOf(form(boardsNamed('abc'), modeOf(2, 4), { short: true }))).toEqual([[['abc', 22]]]);
    // One alone is to have all of it.
    expect(refusalOf(() => form(boardsNamed('a'), modeOf(2, 2), { short: true })).code).toBe(
      'FLEET_PLAN_DOES_NOT_FIT',
    );
  });

  it('take boards without links last', () => {
    expect(cutsOf(form(boardsNamed('abcde', 'b'), modeOf(2, 2)))).toEqual([
      [
        ['ac', 12],
        ['de', 22],
      ],
    ]);
  });

  it('have the groups that compute other models, in their order, and no part of one', () => {
    const together = ['dc', 'eb', 'xy'];
    expect(cutsOf(form(boardsNamed('abcdef'), modeOf(2, 2), { together }))).toEqual([
      [
        ['dc', 12],
        ['eb', 22],
      ],
    ]);
    // Of "eb" one is away: the other one computes nothing together with anybody else.
    expect(cutsOf(form(boardsNamed('abcdf'), modeOf(2, 2), { together }))).toEqual([
      [
        ['dc', 12],
        ['af', 22],
      ],
    ]);
    expect(form(boardsNamed('ab'), modeOf(1, 2), { together })).toEqual([]);
    // Fewer than there should be, and fewer than there are: never by layers alone, which is not how models are to be cut.
    const short = { short: true, together: ['ba'] };
    expect(cutsOf(form(boardsNamed('abc'), modeOf(1, 4), short))).toEqual([[['ba', 22]]]);
    expect(refusalOf(() => form(boardsNamed('ac'), modeOf(1, 4), short)).code).toBe(
      'FLEET_PLAN_DOES_NOT_FIT',
    );
  });
});

describe('plans of a gateway before', () => {
  const formed = (names: string, mode: CutMode, short = false) =>
    form(boardsNamed(names), mode, { short })[0]!;
  const layers = (stages: CutMode['stages']): CutMode => ({ stages, tensor: undefined });

  it.each<[string, PlannedStage[], CutMode]>([
    ['as many stages', formed('abcd', modeOf(2, 2)), modeOf(2, 2)],
    ['as many stages of one board', formed('ab', layers(2)), layers(2)],
    ['as few groups as it fits', formed('ab', modeOf('auto', 2)), modeOf('auto', 2)],
    ['more groups than the fewest', formed('abcd', modeOf(2, 2)), modeOf('auto', 2)],
    ['fewer stages for lack of boards', formed('ab', modeOf(2, 2), true), modeOf(2, 2)],
    ['a smaller group for lack of boards', formed('abc', modeOf('auto', 4), true), modeOf('auto', 4)],
    ['one board for lack of boards', formed('ab', layers(2)).slice(1), modeOf('auto', 2)],
  ])('are kept with %s', (_, stages, mode) => {
    expect(cutOtherwise(stages, mode)).toBeUndefined();
  });

  it.each<[string, PlannedStage[], CutMode]>([
    ['larger groups', formed('abcd', modeOf('auto', 4)), modeOf('auto', 2)],
    ['smaller groups', formed('abcd', modeOf(2, 2)), modeOf('auto', 4)],
    ['other groups of as many boards', formed('abcd', modeOf(2, 2)), modeOf(1, 4)],
    ['more boards', formed('abcd', modeOf(2, 2)), modeOf(1, 2)],
    ['rows where there are to be layers', formed('ab', modeOf(1, 2)), layers(2)],
    ['layers where there are to be rows', formed('ab', layers(2)), modeOf('auto', 2)],
  ])('are not kept with %s', (_, stages, mode) => {
    expect(cutOtherwise(stages, mode)).toEqual(expect.any(String));
  });

  it('that are short make room for larger ones, of free boards and of each other’s', () => {
    const [first, second] = [formed('ab', modeOf('auto', 2)), formed('cd', modeOf('auto', 2))];
    const mode = modeOf('auto', 4);
    expect(mayGrow(first, [first], 1, mode)).toBe(false);
    expect(mayGrow(first, [first], 2, mode)).toBe(true);
    expect(mayGrow(first, [first, second], 0, mode)).toBe(true);
    // One that is as it should be keeps its boards.
    const whole = formed('efgh', mode);
    expect(mayGrow(first, [first, whole], 0, mode)).toBe(false);
    expect(mayGrow(whole, [whole], 4, mode)).toBe(false);
  });
});
