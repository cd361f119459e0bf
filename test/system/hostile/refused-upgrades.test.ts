import { describe, it } from 'vitest';
import { CONNECTIONS, makesRoom, outlives } from './support/refused.js';
import { KINDS, titleOf } from './support/victim.js';

// An agent on TCP with tokens; test/long has the others.
describe.each(KINDS.slice(0, 1).map((kind) => [titleOf(kind), kind] as const))('%s', (_, kind) => {
  it(`outlives ${CONNECTIONS} refused upgrades, however their peers end them, and lets clients in`, () =>
    outlives(kind));

  it('lets clients in although peers of refused upgrades never close', () => makesRoom(kind));
});
