import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inProcess } from '../../sdk/transports/in-process.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { noNatsServer } from '../system/support/nats-server.js';
import { type Given, HeldGeneration, type Line, openLine } from './support/held-generation.js';
import { DEVICE, loadModels, type Mode, makeModes, TOKENS } from './support/modes.js';
import { ProcessFleet } from './support/process-fleet.js';

/** What the boards of this test are given up after: a fifth of what a process takes to start. */
const LEASE_MS = 300;
/** More than are needed at a time: those that were killed start while others go on. */
const NAMES = ['one', 'two', 'three', 'four'];
/** How often a cut is tried where boards that nobody killed seem lost as well: a busy machine has pauses of this length. */
const ATTEMPTS = 10;

let alone: Line;
let line: Line;
let fleet: ProcessFleet;
let modes: readonly (readonly [name: string, mode: Mode])[];
let digests: readonly string[];
/** By the names of the modes, on one board. */
const expected = new Map<string, readonly Given[]>();

/** The requests of a mode. */
interface Asked {
  readonly name: string;
  readonly generations: readonly HeldGeneration[];
}

/** Asks for what gives tokens, or for what gives its end alone. */
function ask(gives: Mode['gives']): Promise<Asked[]> {
  const chosen = modes.filter(([, mode]) => mode.gives === gives);
  return Promise.all(chosen.map(async ([name, mode]) => ({ name, generations: await start(line, mode) })));
}

function start({ connection }: Line, { model, prompt, requests }: Mode): Promise<HeldGeneration[]> {
  return Promise.all(requests.map((sampling) => HeldGeneration.start(connection, model, prompt, sampling)));
}

const all = (asked: readonly Asked[]) => asked.flatMap(({ generations }) => generations);

async function restOf(asked: readonly Asked[]): Promise<Map<string, readonly Given[]>> {
  const given = new Map<string, readonly Given[]>();
  for (const { name, generations } of asked)
    given.set(name, await Promise.all(generations.map((one) => one.rest())));
  return given;
}

/** Kills boards at the same moment, and has them come back. */
async function killAll(names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => fleet.kill(name)));
  for (const name of names) fleet.bringBack(name);
}

/** Boards have all the requests, and have computed nothing: they stand still meanwhile. */
async function killBeforeFirst(asked: readonly Asked[]): Promise<void> {
  const { running } = fleet;
  await fleet.pause(running);
  try {
    for (const one of all(asked)) one.grant(TOKENS);
    const holders = await fleet.until(
      ({ boards }) => {
        const inHand = boards.reduce((sum, board) => sum + board.inHand, 0);
        return inHand === all(asked).length ? boards.filter((board) => board.inHand > 0) : undefined;
      },
      'requests in the hands of boards',
      // Before the gateway takes all of them for lost.
      2 * LEASE_MS,
    );
    await killAll(holders.map(({ name }) => name));
  } finally {
    fleet.resume(running);
  }
}

async function killAfter(asked: readonly Asked[], count: number): Promise<void> {
  const generations = all(asked);
  // With the last token a board gives the end, and has the request no more.
  const held = Math.min(count, TOKENS - 1);
  for (const one of generations) one.grant(held);
  await Promise.all(generations.map((one) => one.arrived(held)));
  const holders = await fleet.holders();
  if (count > held) for (const one of generations) one.grant(count);
  await Promise.all(generations.map((one) => one.arrived(count)));
  await killAll(holders.filter((name) => fleet.running.includes(name)));
}

/** What all requests give whose boards are killed when each has so many tokens. */
async function cutAt(index: number): Promise<ReadonlyMap<string, readonly Given[]>> {
  for (let attempt = 1; ; attempt++) {
    await fleet.ready(2, digests);
    const before = await fleet.status();
    const asked = await ask(undefined);
    const count = all(asked).length;
    // What gives no token is cut wherever it is.
    const searches = index === 0 ? [] : await ask('end');
    for (const one of all(searches)) one.grant(1);
    try {
      await (index === 0 ? killBeforeFirst(asked) : killAfter(asked, index));
      const given = await restOf([...asked, ...searches]);
      const { redelivered } = await fleet.status();
      // A board may have said the end, too.
      if (index < TOKENS) {
        expect(redelivered - before.redelivered).toBeGreaterThanOrEqual(count);
        // More where that board seemed lost later as well.
        for (const { replayed } of all(asked)) expect(replayed).toBeGreaterThanOrEqual(index);
      }
      return given;
    } catch (error) {
      await Promise.allSettled(all([...asked, ...searches]).map((one) => one.rest()));
      // Boards that only seem lost, one after the other, make a request look like poison; and none may be there to be killed.
      const isSlow = /FLEET_POISON|in the hands of boards/.test(String(error));
      if (attempt === ATTEMPTS || !isSlow) throw error;
    }
  }
}

describe.skipIf(noNatsServer !== undefined)(
  `boards that are killed${noNatsServer === undefined ? '' : `: ${noNatsServer}`}`,
  () => {
    const home = temporaryDirectory();
    beforeAll(async () => {
      [fleet, alone] = await Promise.all([
        ProcessFleet.start({ names: NAMES, leaseMs: LEASE_MS, device: DEVICE }),
        openLine(inProcess(DEVICE, home.path, 1)),
      ]);
      line = await openLine(webSocket(fleet.url, {}));
      modes = Object.entries(await makeModes(await loadModels(alone.board)));
      digests = Object.values(await loadModels(line.board)).map(({ digest }) => digest);
    });
    afterAll(async () => {
      await line?.[Symbol.asyncDispose]();
      await fleet?.[Symbol.asyncDispose]();
      await alone?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });

    it(`have requests of ${TOKENS} tokens in each mode`, async () => {
      for (const [name, mode] of modes) {
        const before = await alone.board.metrics();
        const given = await Promise.all((await start(alone, mode)).map((one) => one.rest()));
        const { steps } = await alone.board.metrics();
        expected.set(name, given);
        for (const { tokens, end } of given) {
          const count = mode.gives === 'end' ? 0 : TOKENS;
          expect(tokens.map(({ index }) => index)).toEqual(Array.from({ length: count }, (_, i) => i));
          if (count > 0) expect(end.tokens).toBe(count);
        }
        // Several tokens of a step are what these modes are about.
        if (mode.drafts) expect(steps - before.steps, name).toBeLessThan(TOKENS);
      }
    });

    it.each(Array.from({ length: TOKENS + 1 }, (_, index) => index))(
      `when each request has %i of ${TOKENS} tokens change nothing`,
      async (index) => {
        const given = await cutAt(index);
        for (const [name, all] of given) expect(all, name).toEqual(expected.get(name));
        expect(given.size).toBeGreaterThanOrEqual(modes.length - 1);
        expect(await fleet.status()).toMatchObject({ diverged: 0 });
      },
    );
  },
);
