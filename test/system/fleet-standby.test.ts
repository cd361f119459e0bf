import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectInProcess } from '../../agent/in-process.js';
import { AgentLink } from '../../fleet/member/agent-link.js';
import { boardCall, outcome, pack, unpack } from '../../fleet/messages.js';
import { callsOf, controlOf, GATEWAY, LEADER, LOG, MARK, WORK_QUEUE } from '../../fleet/subjects.js';
import type { GenerateEvent } from '../../protocol/index.js';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { type TestGateway, type TestGateways, testGateways } from './support/gateways.js';

const PROMPT = 'Once upon a time';
const SHORT_MS = 400;
const SOON = { timeout: 30_000 };
const SCHEMA = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
const MODES: Readonly<Record<string, GenerateOptions>> = {
  greedy: { maxTokens: 24, temperature: 0, ignoreEos: true },
  sampled: { maxTokens: 24, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1, ignoreEos: true },
  schema: { maxTokens: 24, temperature: 1, seed: 3, responseFormat: { type: 'json-schema', schema: SCHEMA } },
};
/** Small enough that a generation is under way for as long as nobody reads it. */
const WINDOW = 4;

let alone: BoardClient;
let reference: Model;
let fleet: TestGateways | undefined;
let board: BoardClient | undefined;
beforeAll(async () => {
  alone = await openMock();
  reference = await alone.models.upload(TINY_MODEL);
});
afterAll(() => alone?.close());
afterEach(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
  board = undefined;
  fleet = undefined;
});

/** A fleet that one gateway leads, and a client that knows of both addresses. */
async function begin(leaseMs?: number): Promise<{ first: TestGateway; model: Model; at: TestGateways }> {
  fleet = await testGateways(2, leaseMs);
  const { first } = fleet;
  board = await connect(fleet.url);
  return { first, model: await board.models.upload(TINY_MODEL), at: fleet };
}

/** @param during told the number of each token as soon as it was read */
async function whole(of: Model, options: GenerateOptions, during?: (index: number) => Promise<void>) {
  const generation = of.generate(PROMPT, { ...options, window: WINDOW });
  const tokens: Token[] = [];
  for await (const token of generation) {
    tokens.push(token);
    await during?.(token.index);
  }
  const { reason, text, tokens: count } = await generation.done;
  return { tokens, end: { reason, text, count } };
}

/** A client of one gateway that says itself which tokens it has. */
async function client(gateway: TestGateway) {
  const link = await AgentLink.open({ connect: (events) => connectInProcess(gateway.host, events) });
  const hear = (open: typeof link.openStream) => {
    const events: GenerateEvent[] = [];
    return { events, open, indices: () => events.map((e) => (e.type === 'token' ? e.index : e.type)) };
  };
  return {
    link,
    ...hear(link.openStream),
    start: (generation: string, model: Model, maxTokens: number, window: number) => {
      const heard = hear(link.openStream);
      const sampling = { maxTokens, temperature: 1, ignoreEos: true, seed: 9 };
      const asked = { generation, model: model.digest, prompt: { tokens: [5, 6, 7] }, sampling, window };
      const { result, stream } = link.openStream('generate.start', asked, (e) => heard.events.push(e));
      stream.grant(window);
      return { ...heard, result };
    },
    resume: async (generation: string, next: number, credit: number) => {
      const heard = hear(link.openStream);
      const { result, stream } = link.openStream('generate.resume', { generation, next }, (e) =>
        heard.events.push(e),
      );
      stream.grant(credit);
      await result;
      return { ...heard, grant: stream.grant };
    },
  };
}

describe('a standby', () => {
  it('lets nobody in, says who leads, and is passed over by clients that know of both', async () => {
    const { first, at } = await begin();
    const second = await at.start(1);
    expect([leads(first), leads(second)]).toEqual([true, false]);
    const asked = connect(second.handle.url);
    await expect(asked).rejects.toMatchObject({ code: 'FLEET_STANDBY' });
    await expect(asked).rejects.toThrow(`Gateway gateway-0 (${first.handle.url}) leads the fleet`);
    const backwards = at.url.split(',').reverse().join(',');
    await using other = await connect(backwards);
    expect((await other.fleetStatus()).boards).toHaveLength(2);
  });

  it.each(Object.entries(MODES))(
    'goes on at once with what a gateway that is shut down had: %s',
    async (_, options) => {
      const { first, model, at } = await begin();
      const second = await at.start(1);
      const expected = await whole(reference, options);
      const last = expected.tokens.length - 1;
      const got = await whole(model, options, async (index) => {
        if (index === Math.min(5, last)) await first.handle.close();
      });
      expect(got).toEqual(expected);
      expect(leads(second)).toBe(true);
      const { boards, diverged } = await board!.fleetStatus();
      expect(diverged).toBe(0);
      // Nothing was loaded anew, nothing unloaded.
      expect(boards.map(({ models }) => models.map(({ state }) => state))).toEqual([['loaded'], ['loaded']]);
    },
  );

  it('takes over from a gateway that has lost the broker, which then stands by itself', async () => {
    const { first, model, at } = await begin(SHORT_MS);
    const second = await at.start(1, SHORT_MS);
    const expected = await whole(reference, MODES.sampled);
    const got = await whole(model, MODES.sampled, async (index) => {
      if (index !== 3) return;
      first.line.isAway = true;
      await vi.waitFor(() => expect(leads(second)).toBe(true), SOON);
      expect(leads(first)).toBe(false);
      first.line.isAway = false;
    });
    expect(got).toEqual(expected);
    await vi.waitFor(() => expect(first.said).toContain('this gateway leads no more, and stands by'), SOON);
    await expect(connect(first.handle.url)).rejects.toMatchObject({ code: 'FLEET_STANDBY' });
    // And back again.
    await second.handle.close();
    await vi.waitFor(() => expect(leads(first)).toBe(true), SOON);
    expect(await whole(model, MODES.sampled)).toEqual(expected);
  });
});

describe('a gateway', () => {
  it('that was without the broker, and had no rival, goes on as if nothing had been', async () => {
    const { first, model } = await begin(SHORT_MS);
    const expected = await whole(reference, MODES.greedy);
    const got = await whole(model, MODES.greedy, async (index) => {
      if (index !== 3) return;
      first.line.isAway = true;
      await vi.waitFor(() => expect(leads(first)).toBe(false), SOON);
      first.line.isAway = false;
      await vi.waitFor(() => expect(leads(first)).toBe(true), SOON);
    });
    expect(got).toEqual(expected);
    expect(first.said).not.toContain('this gateway leads no more, and stands by');
  });

  it('that is started again goes on at every token, also with what ended unread', async () => {
    const { first, model, at } = await begin();
    const tokens = 5;
    const expected = (await client(first)).start(newId(), model, tokens, 8);
    await vi.waitFor(() => expect(expected.events).toHaveLength(tokens + 1), SOON);
    let gateway = first;
    for (let read = 0; read <= tokens; read++)
      for (const window of [2, 8]) {
        const id = newId();
        const before = await client(gateway);
        const started = before.start(id, model, tokens, window);
        await started.result;
        const had = Math.min(read, window);
        await vi.waitFor(() => expect(started.events.length).toBeGreaterThanOrEqual(had), SOON);
        // With room for all of them it ends, whatever its client has read.
        if (window > tokens) await vi.waitFor(() => expect(started.events).toHaveLength(tokens + 1), SOON);
        await gateway.handle.close();
        gateway = await at.start(gateway === first ? 1 : 1);
        const after = await client(gateway);
        const resumed = await after.resume(id, had, window);
        await vi.waitFor(() => {
          resumed.grant(resumed.events.length + window);
          expect(resumed.events.at(-1)).toMatchObject({ type: 'done' });
        }, SOON);
        const all = [...expected.events.slice(0, had), ...resumed.events];
        const seen = (events: readonly GenerateEvent[]) =>
          events.map((e) =>
            e.type === 'done' ? { type: e.type, reason: e.reason, text: e.text, tokens: e.tokens } : e,
          );
        expect(seen(all), `${had} read, window ${window}`).toEqual(seen(expected.events));
      }
  }, 240_000);

  it('that takes over computes nothing that a client may have no room for, until that says what it has', async () => {
    const { first, model, at } = await begin();
    const id = newId();
    const started = (await client(first)).start(id, model, 12, WINDOW);
    await vi.waitFor(() => expect(started.indices()).toEqual([0, 1, 2, 3]), SOON);
    await first.handle.close();
    const second = await at.start(1);
    const log = at.broker.connect('test').log(LOG);
    // Another one is served, and has gone through the same boards.
    const other = (await client(second)).start(newId(), model, 12, 12);
    await vi.waitFor(() => expect(other.events).toHaveLength(13), SOON);
    const { last } = await log.bounds();
    const computed: number[] = [];
    for await (const { subject, data, sequence } of log.read()) {
      if (subject.startsWith('tok.') && subject.endsWith(id)) {
        const { event } = unpack(outcome, data, 'A token');
        if (event.type === 'token') computed.push(event.index);
      }
      if (sequence >= last) break;
    }
    expect(computed).toEqual([0, 1, 2, 3]);
    const resumed = await (await client(second)).resume(id, 4, WINDOW);
    await vi.waitFor(() => {
      resumed.grant(Math.min(8, resumed.events.length) + WINDOW);
      expect(resumed.indices()).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 'done']);
    }, SOON);
  });

  it('that does not know a request any more, as one older than the log, says so at once and how to go on', async () => {
    const { first, model, at } = await begin();
    const { tokens, end } = await whole(reference, MODES.sampled);
    const got: Token[] = [];
    let askedAt = 0;
    const read = async () => {
      for await (const token of model.generate(PROMPT, { ...MODES.sampled, window: WINDOW })) {
        got.push(token);
        if (token.index !== 3) continue;
        await first.handle.close();
        const bus = at.broker.connect('test');
        const mark = (await bus.bucket(GATEWAY).get(MARK))!;
        const { last } = await bus.log(LOG).bounds();
        // As if all that stands before had been there for too long.
        await bus.bucket(GATEWAY).update(MARK, pack({ term: 1, from: last + 1 }), mark.revision);
        await at.start(1);
        askedAt = performance.now();
      }
    };
    const lost = await read().catch((error: unknown) => error);
    expect(lost).toMatchObject({
      code: 'FLEET_GENERATION_UNKNOWN',
      remedy: expect.stringContaining('continueFrom'),
    });
    expect(performance.now() - askedAt).toBeLessThan(10_000);
    // And so it does.
    const ids = got.map(({ id }) => id);
    const rest = model.generate(PROMPT, { ...MODES.sampled, continueFrom: ids });
    for await (const token of rest) got.push(token);
    expect(got).toEqual(tokens);
    expect((await rest.done).tokens).toBe(end.count);
  });

  it('has a request once that a client has asked it for, and the gateway before writes down late', async () => {
    const { first, model, at } = await begin();
    const second = await at.start(1);
    await first.handle.close();
    await vi.waitFor(() => expect(leads(second)).toBe(true), SOON);
    const generation = newId();
    const sampling = { maxTokens: 12, temperature: 1, ignoreEos: true, seed: 9 };
    const params = { generation, model: model.digest, prompt: { tokens: [5, 6, 7] }, sampling, window: 16 };
    const { link, indices, events } = await client(second);
    const { result, stream } = link.openStream('generate.start', params, (event) => events.push(event));
    stream.grant(4);
    await result;
    await vi.waitFor(() => expect(indices()).toEqual([0, 1, 2, 3]), SOON);
    const late = pack({ term: 1, client: ['one'], at: Date.now(), params });
    const log = at.broker.connect('test').log(LOG);
    await log.append(`req.${generation}`, `${generation}.1.0`, late);
    // Read after it, and by whoever reads it.
    const other = (await client(second)).start(newId(), model, 4, 8);
    await vi.waitFor(() => expect(other.events).toHaveLength(5), SOON);
    stream.grant(16);
    await vi.waitFor(() => expect(indices().at(-1)).toBe('done'), SOON);
    expect(indices()).toEqual([...Array(12).keys(), 'done']);
  });

  it('knows after a restart what boards are to have loaded, and has them unload what nobody wants', async () => {
    const { first, model, at } = await begin();
    await at.start(1);
    await vi.waitFor(async () => expect(await at.stored(1)).toEqual([model.digest]), SOON);
    await first.handle.close();
    await vi.waitFor(
      async () => expect(await board!.models.list()).toMatchObject([{ state: 'loaded' }]),
      SOON,
    );
    // A board that comes later is told of the model, and has its file here.
    await at.join('late');
    const states = async () =>
      (await board!.fleetStatus()).boards.map(({ models }) => models.map((m) => m.error ?? m.state));
    await vi.waitFor(async () => expect(await states()).toEqual([['loaded'], ['loaded'], ['loaded']]), SOON);
    expect(await whole(model, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
    await model.unload();
    await vi.waitFor(async () => expect(await states()).toEqual([[], [], []]), SOON);
  });
});

describe('a board', () => {
  it('refuses what a gateway says that leads no more', async () => {
    const { first, model, at } = await begin();
    const bus = at.broker.connect('test');
    const { value, revision } = (await bus.bucket(GATEWAY).get(LEADER))!;
    expect(Buffer.from(value).toString()).toContain('gateway-0');
    await first.handle.close();
    const second = await at.start(1);
    expect(leads(second)).toBe(true);
    await vi.waitFor(async () => expect((await board!.fleetStatus()).boards).toHaveLength(2), SOON);
    // It may have renewed its lease since: its term is not higher than this.
    const term = revision;
    expect(await whole(model, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));

    const id = newId();
    const sampling = { maxTokens: 4, temperature: 0, seed: 1 };
    const params = { generation: id, model: model.digest, prompt: { tokens: [5, 6] }, sampling, window: 8 };
    const { last } = await bus.log(LOG).bounds();
    for (const name of ['mock-1', 'mock-2']) {
      const order = pack({ term, delivery: 1, credit: 8, given: 0, params });
      await bus.queue(WORK_QUEUE).put(name, `${id}.${term}.1.${name}`, order);
      const call = pack({ term, method: 'models.unload', params: { model: model.digest } });
      await expect(bus.request(callsOf(name), call)).rejects.toMatchObject({ code: 'FLEET_OLD_TERM' });
      expect(unpack(boardCall, call, 'a call').term).toBe(term);
    }
    const said: GenerateEvent[] = [];
    const signal = AbortSignal.timeout(30_000);
    for await (const { subject, data } of bus.log(LOG).read({ from: last + 1, signal })) {
      if (!subject.endsWith(id)) continue;
      said.push(unpack(outcome, data, 'What boards say').event);
      if (said.length === 2) break;
    }
    expect(said).toMatchObject([
      { type: 'failed', error: { code: 'FLEET_OLD_TERM' } },
      { type: 'failed', error: { code: 'FLEET_OLD_TERM' } },
    ]);
    // Nor does it cancel what a later one wants.
    const options = { ...MODES.sampled };
    const cancelled = await whole(model, options, async () => {
      for (const name of ['mock-1', 'mock-2'])
        for (const { generation } of [{ generation: id }])
          bus.publish(controlOf(name), pack({ kind: 'cancel', term, generation, delivery: 9 }));
    });
    expect(cancelled).toEqual(await whole(reference, options));
  });
});

const leads = ({ host }: TestGateway) => host.leading !== undefined;
const newId = () => randomBytes(16).toString('hex');
