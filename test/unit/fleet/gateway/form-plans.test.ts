import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import type { FleetBoard } from '../../../../fleet/gateway/boards.js';
import { type CutMode, formPlans } from '../../../../fleet/gateway/form-plans.js';
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
