import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inProcess } from '../../sdk/transports/in-process.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { noNatsServer } from '../system/support/nats-server.js';
import { type Given, HeldGeneration, type Line, openLine } from './support/held-generation.js';
import { ProcessFleet } from './support/process-fleet.js';
import { type StallingProxy, stallingProxy } from './support/stalling-proxy.js';

const LEASE_MS = 1_000;
const SAMPLED = { maxTokens: 48, temperature: 1, seed: 5, topLogprobs: 2, ignoreEos: true };
/** Until clients hear of tokens again, once a broker that was killed is back. */
const GAP_MS = 3_000;

let alone: Line;
let line: Line;
let fleet: ProcessFleet;
let link: StallingProxy;
let model: string;
let prompt: readonly number[];
let expected: Given;

const ask = (on: Line) => HeldGeneration.start(on.connection, model, prompt, SAMPLED);
/** Waits until a board is not, or is again, seen. */
const until = (name: string, isThere: boolean) =>
  fleet.until(
    ({ boards }) => boards.some((board) => board.name === name) === isThere || undefined,
    `${isThere ? 'a' : 'no'} board ${name}`,
  );

describe.skipIf(noNatsServer !== undefined)(
  `a fleet of processes${noNatsServer === undefined ? '' : `: ${noNatsServer}`}`,
  () => {
    const home = temporaryDirectory();
    beforeAll(async () => {
      [fleet, alone] = await Promise.all([
        ProcessFleet.start({ names: ['one', 'two'], leaseMs: LEASE_MS }),
        openLine(inProcess('mock:', home.path, 1)),
      ]);
      link = await stallingProxy(fleet.broker.port);
      line = await openLine(webSocket(fleet.url, {}));
      const reference = await alone.board.models.upload(TINY_MODEL);
      ({ digest: model } = await line.board.models.upload(TINY_MODEL));
      prompt = await reference.tokenize('Once upon a time');
      expected = await (await ask(alone)).rest();
      expect(expected.tokens).toHaveLength(SAMPLED.maxTokens);
    });
    afterAll(async () => {
      await line?.[Symbol.asyncDispose]();
      await fleet?.[Symbol.asyncDispose]();
      await link?.[Symbol.asyncDispose]();
      await alone?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });

    it('goes on where its broker is killed and started again, and its clients hear of it in under 3 s', async () => {
      const generation = await ask(line);
      generation.grant(20);
      await generation.arrived(20);
      await fleet.broker.kill();
      // What is asked for meanwhile is not lost.
      generation.grant(SAMPLED.maxTokens);
      const meanwhile = await ask(line);
      meanwhile.grant(SAMPLED.maxTokens);
      await fleet.broker.run();
      const back = performance.now();
      await generation.arrived(21);
      const gapMs = performance.now() - back;
      expect(await generation.rest()).toEqual(expected);
      expect(await meanwhile.rest()).toEqual(expected);
      expect(gapMs).toBeLessThan(GAP_MS);
      expect(await fleet.status()).toMatchObject({ diverged: 0 });
      await fleet.ready(2, [model]);
    });

    it('takes a board that stands still for lost, and back once it goes on', async () => {
      const generation = await ask(line);
      generation.grant(10);
      await generation.arrived(10);
      const [zombie] = await fleet.holders();
      await fleet.pause([zombie]);
      await until(zombie, false);
      generation.grant(20);
      await generation.arrived(20);
      // It had the request, and finds that others have it.
      fleet.resume([zombie]);
      await fleet.ready(2, [model]);
      expect(await generation.rest()).toEqual(expected);
      expect(await fleet.status()).toMatchObject({ diverged: 0 });
      // It computes again: the other one is not there.
      const other = fleet.running.find((name) => name !== zombie) ?? '';
      await fleet.kill(other);
      expect(await (await ask(line)).rest()).toEqual(expected);
      fleet.bringBack(other);
      await fleet.ready(2, [model]);
    });

    it('drops what a board that was taken for lost says after another one', async () => {
      await fleet.run('stalled', link.url);
      await fleet.ready(3, [model]);
      for (const name of ['one', 'two']) await fleet.kill(name);
      await Promise.all(['one', 'two'].map((name) => until(name, false)));
      const before = await fleet.status();
      const generation = await ask(line);
      generation.grant(5);
      await generation.arrived(5);
      link.stall();
      // It hears of the grant, and computes on; nobody hears of that.
      generation.grant(10);
      await until('stalled', false);
      for (const name of ['one', 'two']) fleet.bringBack(name);
      await generation.arrived(10);
      expect(generation.tokens).toEqual(expected.tokens.slice(0, 10));
      link.flow();
      await fleet.until(({ repeated }) => repeated > before.repeated || undefined, 'a repeated token');
      await fleet.ready(3, [model]);
      expect(await generation.rest()).toEqual(expected);
      const after = await fleet.status();
      expect(after.redelivered).toBeGreaterThan(before.redelivered);
      expect(after.diverged).toBe(0);
    });

    it('has no two boards of one name: the second waits, and comes in once the first is gone', async () => {
      const boards = () =>
        fleet.status().then((status) => status.boards.filter(({ name }) => name === 'one'));
      const { before, now } = await fleet.replace('one');
      await expect.poll(now.log, { timeout: 60_000 }).toMatch(/FLEET_BOARD_NAME/);
      expect(await boards()).toHaveLength(1);
      before.child.kill('SIGKILL');
      await fleet.kill('two');
      await until('two', false);
      // Of this name there is the second one, or nobody yet.
      expect(await (await ask(line)).rest()).toEqual(expected);
    });
  },
);
