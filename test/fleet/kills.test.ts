import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inProcess } from '../../sdk/transports/in-process.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { noNatsServer } from '../system/support/nats-server.js';
import { type Given, HeldGeneration, type Line, openLine } from './support/held-generation.js';
import { DEVICE, loadModels, MODES, type Mode, makeModes, TOKENS } from './support/modes.js';
import { ProcessFleet, type Status } from './support/process-fleet.js';

/** What the boards of this test are given up after: a fifth of what a process takes to start. */
const LEASE_MS = 300;
/** More than are needed at a time: those that were killed start while others go on. */
const NAMES = ['one', 'two', 'three', 'four'];
/** How often a cut is tried where boards that nobody killed seem lost as well: a busy machine has pauses of this length. */
const ATTEMPTS = 10;

let alone: Line;
let line: Line;
let fleet: ProcessFleet;
let modes: Awaited<ReturnType<typeof makeModes>>;
let digests: readonly string[];

async function whole(on: Line, { model, prompt, requests }: Mode): Promise<readonly Given[]> {
  const started = requests.map((sampling) => HeldGeneration.start(on.connection, model, prompt, sampling));
  return Promise.all((await Promise.all(started)).map((one) => one.rest()));
}

function start({ model, prompt, requests }: Mode): Promise<HeldGeneration[]> {
  return Promise.all(
    requests.map((sampling) => HeldGeneration.start(line.connection, model, prompt, sampling)),
  );
}

/** Kills a board that has a request, and has it come back. */
async function killHolder(withinMs?: number): Promise<void> {
  const holderOf = ({ boards }: Status) => boards.find(({ inHand }) => inHand > 0)?.name;
  const name = await fleet.until(holderOf, 'a board with a request', withinMs);
  await fleet.kill(name);
  fleet.bringBack(name);
}

/** Of the requests a board has one, and has computed nothing: all boards stand still meanwhile. */
async function killBeforeFirst(generations: readonly HeldGeneration[]): Promise<void> {
  const { running } = fleet;
  await fleet.pause(running);
  for (const one of generations) one.grant(TOKENS);
  try {
    // Before the gateway takes them all for lost.
    await killHolder(2 * LEASE_MS);
  } finally {
    fleet.resume(running);
  }
}

async function killAfter(generations: readonly HeldGeneration[], count: number): Promise<void> {
  for (const one of generations) one.grant(count);
  await Promise.all(generations.map((one) => one.arrived(count)));
  await killHolder();
}

/** What requests give of which some board is killed when each has so many tokens. */
async function cutAt(index: number, mode: Mode): Promise<readonly Given[]> {
  for (let attempt = 1; ; attempt++) {
    await fleet.ready(2, digests);
    const before = await fleet.status();
    const generations = await start(mode);
    try {
      await (index === 0 ? killBeforeFirst(generations) : killAfter(generations, index));
      const given = await Promise.all(generations.map((one) => one.rest()));
      const { redelivered } = await fleet.status();
      // After its last token a board may have said the end as well.
      if (index < TOKENS) expect(redelivered, `cut at ${index}`).toBeGreaterThan(before.redelivered);
      return given;
    } catch (error) {
      await Promise.allSettled(generations.map((one) => one.rest()));
      const { redelivered } = await fleet.status();
      const others = redelivered - before.redelivered - generations.length;
      // With boards that only seem lost, one after the other, a request looks like poison; or nobody had it when it was looked.
      if (attempt === ATTEMPTS || others < 0) throw error;
    }
  }
}

describe.skipIf(noNatsServer !== undefined)(
  `a board that is killed${noNatsServer === undefined ? '' : `: ${noNatsServer}`}`,
  () => {
    const home = temporaryDirectory();
    beforeAll(async () => {
      [fleet, alone] = await Promise.all([
        ProcessFleet.start({ names: NAMES, leaseMs: LEASE_MS, device: DEVICE }),
        openLine(inProcess(DEVICE, home.path, 1)),
      ]);
      line = await openLine(webSocket(fleet.url, {}));
      modes = await makeModes(await loadModels(alone.board));
      digests = Object.values(await loadModels(line.board)).map(({ digest }) => digest);
    });
    afterAll(async () => {
      await line?.[Symbol.asyncDispose]();
      await fleet?.[Symbol.asyncDispose]();
      await alone?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });

    it.each(MODES)(`at any of ${TOKENS} tokens changes nothing: %s`, async (name) => {
      const mode = modes[name];
      const before = await alone.board.metrics();
      const expected = await whole(alone, mode);
      const { steps } = await alone.board.metrics();
      for (const { tokens, end } of expected) {
        expect(tokens.map(({ index }) => index)).toEqual(tokens.map((_, index) => index));
        expect(tokens).toHaveLength(TOKENS);
        expect(end.tokens).toBe(TOKENS);
      }
      // Several tokens of a step are what this mode is about.
      if (mode.drafts) expect(steps - before.steps).toBeLessThan(TOKENS);
      for (let index = 0; index <= TOKENS; index++) {
        expect(await cutAt(index, mode), `cut at ${index}`).toEqual(expected);
      }
      expect(await fleet.status()).toMatchObject({ diverged: 0 });
    });
  },
);
