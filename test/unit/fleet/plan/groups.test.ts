import { expect, it } from 'vitest';
import type { FleetModel } from '../../../../fleet/index.js';
import { planGroups } from '../../../../fleet/plan/groups.js';
import { boardsOf, TINY_LLAMA } from '../models.js';

/** Counts how often something is planned with it: each time it is asked for its memory. */
function counted(): { model: FleetModel; asked: () => number } {
  let times = 0;
  const model = {
    ...TINY_LLAMA,
    get memory() {
      times++;
      return TINY_LLAMA.memory;
    },
  };
  return { model, asked: () => times };
}

it('groups whose links are measured a little otherwise each take no longer to plan than groups that are alike', () => {
  const groups = Array.from({ length: 6 }, () => boardsOf(2, 'kv260-2026-v3'));
  const planned = (roundTripOf: (group: number) => number) => {
    const { model, asked } = counted();
    const linkOf = (group: number) => ({ bytesPerSecond: 62e6, roundTripMs: roundTripOf(group) });
    const { stages } = planGroups(model, groups, { linkOf, isForced: true });
    return { ranges: stages.map(({ from, to }) => [from, to]), asked: asked() };
  };
  const alike = planned(() => 0.2);
  const measured = planned((group) => 0.195 + 0.002 * group);
  expect(measured.ranges).toEqual(alike.ranges);
  expect(measured.asked).toBeLessThan(2 * alike.asked);
  // Not for every range of layers.
  const layers = TINY_LLAMA.step.layers.length;
  expect(alike.asked / planned1()).toBeLessThan(4 * layers + 2 * groups.length);
});

/** How often one plan of one group asks. */
function planned1(): number {
  const { model, asked } = counted();
  const link = { bytesPerSecond: 62e6, roundTripMs: 0.2 };
  planGroups(model, [boardsOf(2, 'kv260-2026-v3')], { linkOf: () => link, isForced: true });
  return asked();
}
