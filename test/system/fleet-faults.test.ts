import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import * as v8 from 'node:v8';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectInProcess } from '../../agent/in-process.js';
import { PynqLlmError } from '../../errors/index.js';
import { AgentLink } from '../../fleet/member/agent-link.js';
import { Run } from '../../fleet/member/run.js';
import { outcome, pack, unpack } from '../../fleet/messages.js';
import { LOG, WORK_QUEUE } from '../../fleet/subjects.js';
import type { GenerateEvent } from '../../protocol/index.js';
import { type BoardClient, connect, type GenerateOptions, type Model } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';
import { Cut, type TestFleet, testFleet } from './support/fleet.js';

const PROMPT = 'Once upon a time';
const OPTIONS: GenerateOptions = { maxTokens: 6, temperature: 0 };
const ID = /^\d+\.\d+\.[^.]+\.(?<what>.+)$/;

let fleet: TestFleet;
let board: BoardClient;
let model: Model;
let cut: Cut;
let expected: string;
beforeAll(async () => {
  fleet = await testFleet({ boards: 1, maxWaitMs: 20_000 });
  cut = fleet.boards.get('mock-1')!.cut;
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
  expected = await textOf(OPTIONS);
});
afterAll(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
});
afterEach(() => {
  cut.onAppend = new Cut().onAppend;
  cut.ackMs = 0;
});

function textOf(options: GenerateOptions): Promise<string> {
  return model.generate(PROMPT, options).text();
}

const failed = {
  type: 'failed',
  error: new PynqLlmError('AGENT_WORKER_CRASHED', 'The worker crashed.').toWire(),
} as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const refusal = () => new PynqLlmError('BUS_REFUSED', 'insufficient resources');

/** What is said first under such a subject is refused, and nothing after it. */
function refuseOnce(prefix: string): () => boolean {
  let isRefused = false;
  cut.onAppend = (subject, _, data) => {
    if (isRefused || !subject.startsWith(prefix)) return data;
    isRefused = true;
    return Promise.reject(refusal());
  };
  return () => isRefused;
}

/** A client of the gateway that chooses the ids of its generations itself. */
async function client() {
  const link = await AgentLink.open({ connect: (events) => connectInProcess(fleet.gateway, events) });
  return {
    link,
    start: (generation: string, more: { maxTokens?: number; continueFrom?: number[] } = {}) => {
      const { maxTokens = 6, continueFrom } = more;
      const events: GenerateEvent[] = [];
      let end: () => void = () => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const sampling = { maxTokens, temperature: 0, ignoreEos: true, seed: 1 };
      const { result, stream } = link.openStream(
        'generate.start',
        { generation, model: model.digest, prompt: { tokens: [5, 6, 7] }, sampling, window: 8, continueFrom },
        (event) => {
          events.push(event);
          if (event.type !== 'token') end();
          else stream.grant(event.index + 9);
        },
      );
      stream.grant(8);
      return { result, events, ended };
    },
  };
}
const newId = () => randomBytes(16).toString('hex');

describe('a board of a fleet', () => {
  it('says the end after its tokens, also where those take longer to be stored', async () => {
    const before = await board.fleetStatus();
    cut.onAppend = async (subject, _, data) => {
      if (subject.startsWith('tok.')) await pause(60);
      return data;
    };
    expect(await textOf(OPTIONS)).toBe(expected);
    expect((await board.fleetStatus()).redelivered).toBe(before.redelivered);
  });

  it('begins with a request that it is given again while its end of it is acknowledged', async () => {
    cut.ackMs = 3_000;
    const isRefused = refuseOnce('tok.');
    const begun = performance.now();
    expect(await textOf(OPTIONS)).toBe(expected);
    expect(isRefused()).toBe(true);
    expect(performance.now() - begun).toBeLessThan(15_000);
  }, 40_000);

  it('is left alone for a while where it is busy, longer each time', async () => {
    const busy = new PynqLlmError('LLM_OVERLOADED', 'busy').toWire();
    let ends = 0;
    cut.onAppend = (subject, id, data) => {
      if (ends >= 3) return data;
      if (subject.startsWith('tok.') || subject.startsWith('begun.')) return undefined;
      if (ID.exec(id)?.groups?.what !== 'end') return data;
      ends++;
      const { term, delivery } = unpack(outcome, data, 'An end');
      return pack({ term, delivery, event: { type: 'failed', error: busy } });
    };
    const begun = performance.now();
    expect(await textOf(OPTIONS)).toBe(expected);
    expect(ends).toBe(3);
    expect(performance.now() - begun).toBeGreaterThan(1_700);
  });

  it.each(['tok.', 'end.'])('whose broker refuses an entry of %s* loses no request', async (prefix) => {
    const isRefused = refuseOnce(prefix);
    expect(await textOf(OPTIONS)).toBe(expected);
    expect(isRefused()).toBe(true);
  });

  it('says of a request that it cannot read that it failed', async () => {
    const bus = fleet.broker.connect('test');
    const generation = newId();
    const { last } = await bus.log(LOG).bounds();
    await bus.queue(WORK_QUEUE).put('mock-1', `${generation}.1.1`, new Uint8Array([1, 2, 3]));
    const signal = AbortSignal.timeout(5_000);
    let event: GenerateEvent | undefined;
    for await (const { data } of bus
      .log(LOG)
      .read({ from: last + 1, pattern: `end.mock-1.${generation}`, signal })) {
      event = unpack(outcome, data, 'An end').event;
      break;
    }
    expect(event).toMatchObject({ type: 'failed', error: { code: 'FLEET_BAD_MESSAGE' } });
    await bus.close();
  });

  it.skipIf(!('queryObjects' in v8))('keeps nothing of requests that have ended', async () => {
    for (let i = 0; i < 20; i++) await textOf({ maxTokens: 1 });
    const { queryObjects } = v8 as unknown as { queryObjects(of: unknown): number };
    expect(queryObjects(Run)).toBeLessThan(5);
  });

  it('that tells a token which there is not, and then fails, is blamed for it, and not the client', async () => {
    let isTold = false;
    cut.onAppend = (subject, id, data) => {
      const what = ID.exec(id)?.groups?.what;
      if (isTold && what === 'end') cut.onAppend = new Cut().onAppend;
      if (what !== '2' && !isTold) return data;
      const { event, ...of } = unpack(outcome, data, 'A token');
      if (subject.startsWith('tok.') && isTold) return undefined;
      isTold = true;
      return pack({ ...of, event: event.type === 'token' ? { ...event, id: 1_000_000 } : failed });
    };
    const { diverged } = await board.fleetStatus();
    await expect(textOf(OPTIONS)).rejects.toMatchObject({ code: 'FLEET_DIVERGED' });
    expect((await board.fleetStatus()).diverged).toBe(diverged + 1);
  });

  it('tells no token that its client has no room for, whatever it says', async () => {
    const one = await client();
    const whole = one.start(newId(), { maxTokens: 12 });
    await whole.ended;
    const generation = newId();
    const sampling = { maxTokens: 12, temperature: 0, ignoreEos: true, seed: 1 };
    const params = { generation, model: model.digest, prompt: { tokens: [5, 6, 7] }, sampling, window: 16 };
    const events: GenerateEvent[] = [];
    const { result, stream } = one.link.openStream('generate.start', params, (event) => events.push(event));
    stream.grant(2);
    await result;
    await vi.waitFor(() => expect(events).toHaveLength(2), 10_000);
    const log = fleet.broker.connect('thief').log(LOG);
    const forged = { type: 'token', id: 9, text: '?', logprob: -1 };
    for (const index of [2, 3, 4, 5])
      await log.append(
        `tok.mock-1.${generation}`,
        `forged.${index}`,
        pack({ term: 1, delivery: 1, event: { ...forged, index } }),
      );
    // Read after them, and by whoever reads them.
    await one.start(newId()).ended;
    stream.grant(16);
    await vi.waitFor(() => expect(events.at(-1)?.type).toBe('done'), 10_000);
    expect(events.slice(0, -1)).toEqual(whole.events.slice(0, -1));
    await one.link.close();
  }, 30_000);

  it('whose words are lost, while its lease is renewed, is given the request again', async () => {
    let isLost = false;
    cut.onAppend = (_subject, id, data) => {
      if (isLost) return data;
      isLost = ID.exec(id)?.groups?.what === 'end';
      return undefined;
    };
    const { redelivered } = await board.fleetStatus();
    expect(await textOf(OPTIONS)).toBe(expected);
    expect(isLost).toBe(true);
    expect((await board.fleetStatus()).redelivered).toBe(redelivered + 1);
  }, 60_000);

  it('serves others while eight read nothing', async () => {
    const stalled = [];
    for (let i = 0; i < 8; i++) {
      const generation = model.generate(PROMPT, { maxTokens: 200, window: 2, ignoreEos: true });
      const tokens = generation[Symbol.asyncIterator]();
      await tokens.next();
      stalled.push({ generation, tokens });
    }
    try {
      const done = textOf(OPTIONS);
      expect(await Promise.race([done, pause(10_000)])).toBe(expected);
    } finally {
      for (const { generation, tokens } of stalled) {
        generation.cancel();
        await tokens.return?.();
      }
    }
  }, 40_000);
});

describe('a client of a fleet', () => {
  it('that takes the id of a running generation is refused, and the other one goes on', async () => {
    const [first, second] = [await client(), await client()];
    const id = newId();
    const running = first.start(id, { maxTokens: 60 });
    await running.result;
    await expect(second.start(id).result).rejects.toMatchObject({ code: 'AGENT_GENERATION_EXISTS' });
    await running.ended;
    expect(running.events.at(-1)).toMatchObject({ type: 'done', tokens: 60 });
    expect(running.events).toHaveLength(61);
    await first.link.close();
    await second.link.close();
  });

  it('that invents a text which is complete is told so, and no board is blamed', async () => {
    const one = await client();
    const { diverged } = await board.fleetStatus();
    const invented = one.start(newId(), { continueFrom: [9, 9, 9, 9, 9, 9] });
    const said = await Promise.race([
      invented.result.then(async () => {
        await invented.ended;
        const end = invented.events.at(-1);
        return end?.type === 'failed' ? end.error.code : end?.type;
      }),
      pause(8_000),
    ]).catch((error: PynqLlmError) => error.code);
    expect(said).toBe('LLM_CONTINUE_ENDED');
    expect((await board.fleetStatus()).diverged).toBe(diverged);
    await one.link.close();
  });

  it('may use an id again where the board refused the first request of that id', async () => {
    const one = await client();
    const id = newId();
    const refused = one.start(id, { continueFrom: [1_000_000] });
    await expect(refused.result).rejects.toMatchObject({ code: expect.stringMatching(/^LLM_/) });
    const again = one.start(id);
    await again.result;
    await Promise.race([again.ended, pause(8_000)]);
    expect(again.events.map(({ type }) => type)).toEqual([...Array(6).fill('token'), 'done']);
    await one.link.close();
  }, 30_000);

  it('that cancels gets its end also where the board says none', async () => {
    cut.onAppend = (subject, _, data) => (subject.startsWith('end.') ? undefined : data);
    const one = await client();
    const id = newId();
    const running = one.start(id);
    await running.result;
    await pause(500);
    await one.link.request('generate.cancel', { generation: id });
    await running.ended;
    expect(running.events.at(-1)).toMatchObject({ type: 'done', reason: 'cancelled' });
    await one.link.close();
  }, 30_000);
});

describe('models of a fleet whose boards have their own stores', () => {
  it('can be checked before any board has them, and are unloaded also where they were on their way', async () => {
    await using other = await testFleet({ boards: 1, ownStores: true });
    const at = await connect(other.url);
    const one = await at.models.upload(TINY_MODEL);
    await one.unload();
    await other.join('late');
    expect(await at.models.check(one.digest)).toHaveProperty('memory');
    const states = async () => (await at.fleetStatus()).boards.map(({ models }) => models.length);
    await at.models.load(one.digest);
    // It begins to load when it has joined, and is not done when the model is unloaded.
    await other.join('later');
    await one.unload();
    await vi.waitFor(async () => expect(await states()).toEqual([0, 0, 0]), 10_000);
    await pause(1_000);
    expect(await states()).toEqual([0, 0, 0]);
    await at.close();
  }, 30_000);
});

it('`fleet up` says that its port is taken', async () => {
  const home = temporaryDirectory();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const shown = await cli(['fleet', 'up', '--mocks', '1', '--port', String(port)], { home: home.path });
  expect(shown.stderr).toContain('AGENT_LISTEN_FAILED');
  expect(shown.status).not.toBe(0);
  server.close();
  home[Symbol.dispose]();
});
