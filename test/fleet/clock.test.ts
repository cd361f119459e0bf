import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inProcess } from '../../sdk/transports/in-process.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { noNatsServer } from '../system/support/nats-server.js';
import { FakeClock, noFakeClock } from './support/fake-clock.js';
import { HeldGeneration, type Line, openLine } from './support/held-generation.js';
import { ProcessFleet } from './support/process-fleet.js';

/** Much longer than a busy machine's pauses, and much shorter than the jumps. */
const LEASE_MS = 10_000;
const HOUR_S = 3_600;
const SAMPLED = { maxTokens: 24, temperature: 1, seed: 5, topLogprobs: 2, ignoreEos: true };

const reason = noNatsServer ?? noFakeClock;

describe.skipIf(reason !== undefined)(`the time of day${reason === undefined ? '' : `: ${reason}`}`, () => {
  const home = temporaryDirectory();
  let clock: FakeClock;
  let fleet: ProcessFleet;
  let line: Line;
  let alone: Line;
  /** Hours that the gateway is ahead, by the dates of its answers. */
  const ahead = async () => {
    const { headers } = await fetch(`${fleet.url.replace(/^ws/, 'http')}/health`);
    return (Date.parse(headers.get('date') ?? '') - Date.now()) / 1_000 / HOUR_S;
  };
  const jump = async (hours: number) => {
    clock.jumpTo(hours * HOUR_S);
    await expect.poll(ahead).toBeCloseTo(hours, 1);
  };
  beforeAll(async () => {
    clock = new FakeClock(home.path);
    [fleet, alone] = await Promise.all([
      ProcessFleet.start({ names: ['one', 'two'], leaseMs: LEASE_MS, env: clock.env }),
      openLine(inProcess('mock:', home.path, 1)),
    ]);
    line = await openLine(webSocket(fleet.url, {}));
  });
  afterAll(async () => {
    await line?.[Symbol.asyncDispose]();
    await fleet?.[Symbol.asyncDispose]();
    await alone?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('may jump by hours: no board is lost by it, and one that is lost is not missed', async () => {
    const reference = await alone.board.models.upload(TINY_MODEL);
    const { digest } = await line.board.models.upload(TINY_MODEL);
    const prompt = await reference.tokenize('Once upon a time');
    const ask = (on: Line) => HeldGeneration.start(on.connection, digest, prompt, SAMPLED);
    const expected = await (await ask(alone)).rest();
    const generation = await ask(line);
    generation.grant(6);
    await generation.arrived(6);
    await jump(5);
    generation.grant(12);
    await generation.arrived(12);
    await jump(-3);
    generation.grant(18);
    await generation.arrived(18);
    const before = await fleet.status();
    expect(before).toMatchObject({ redelivered: 0 });
    expect(before.boards).toHaveLength(2);
    const [holder] = await fleet.holders();
    await fleet.kill(holder);
    expect(await generation.rest()).toEqual(expected);
    expect(await fleet.status()).toMatchObject({ redelivered: 1, diverged: 0 });
  });
});
