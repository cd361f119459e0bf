import { describe, it } from 'vitest';
import { CONNECTIONS, makesRoom, outlives } from '../system/hostile/support/refused.js';
import { KINDS, titleOf } from '../system/hostile/support/victim.js';

describe.each(KINDS.slice(1).map((kind) => [titleOf(kind), kind] as const))('%s', (_, kind) => {
  it(`outlives ${CONNECTIONS} refused upgrades, however their peers end them, and lets clients in`, () =>
    outlives(kind));

  it('lets clients in although peers of refused upgrades never close', () => makesRoom(kind));
});
