import { expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { elasticSchedule, referenceTexts } from './support/elastic.js';
import { testFleet } from './support/fleet.js';

it('boards that join, leave, drain and stall, and requests that are cancelled, change no token of the others', async () => {
  await using alone = await openMock();
  const reference = await referenceTexts(await alone.models.upload(TINY_MODEL));
  await using fleet = await testFleet({ boards: 2, maxWaitMs: 60_000 });
  await using board = await connect(fleet.url);
  const model = await board.models.upload(TINY_MODEL);
  const told: string[] = [];
  for (const seed of [1, 2, 3])
    told.push(...(await elasticSchedule(seed, { fleet, board, model, reference, cuts: false })));
  for (const what of ['join', 'leave', 'drain', 'stall'])
    expect(
      told.some((one) => one.startsWith(what)),
      what,
    ).toBe(true);
}, 600_000);
