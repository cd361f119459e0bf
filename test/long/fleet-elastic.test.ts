import { expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from '../system/support/agent.js';
import { elasticSchedule, referenceTexts } from '../system/support/elastic.js';
import { testFleet } from '../system/support/fleet.js';

const SCHEDULES = 40;

it(`of ${SCHEDULES} random schedules of join, leave, drain, stall, cut and cancel none changes a token`, async () => {
  await using alone = await openMock();
  const reference = await referenceTexts(await alone.models.upload(TINY_MODEL));
  await using fleet = await testFleet({ boards: 3, leaseMs: 1_500, maxWaitMs: 120_000 });
  await using board = await connect(fleet.url);
  const model = await board.models.upload(TINY_MODEL);
  const told: string[] = [];
  for (let seed = 100; seed < 100 + SCHEDULES; seed++)
    told.push(...(await elasticSchedule(seed, { fleet, board, model, reference, cuts: true })));
  for (const what of ['join', 'leave', 'drain', 'stall', 'cut', 'moved'])
    expect(
      told.some((one) => one.startsWith(what)),
      what,
    ).toBe(true);
}, 1_800_000);
