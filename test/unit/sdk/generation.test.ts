import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import type { Call, Params, ServerStream } from '../../../protocol/index.js';
import { Generation, type GenerationOptions } from '../../../sdk/generation.js';
import { type ScriptedAgent, scriptedAgent } from './scripted-agent.js';

const MODEL = '0'.repeat(64);

/**
 * An agent that answers `generate.start` as told, and keeps the streams of generations.
 * @param steps how many steps its engine says to have computed
 */
function generating(start: (call: Call, times: number) => unknown, steps: () => unknown = () => 0) {
  const streams: ServerStream[] = [];
  let times = 0;
  const agent: ScriptedAgent = scriptedAgent((call) => {
    if (call.method === 'generate.resume') streams.push(call.stream());
    if (call.method === 'generate.progress') return { steps: steps() };
    if (call.method !== 'generate.start') return {};
    streams.push(call.stream());
    return start(call, ++times);
  });
  const methods = () => agent.calls.map(({ method }) => method);
  return { agent, streams, methods };
}

const token = (index: number) => ({ type: 'token', index, id: 1, text: 'a', logprob: -1 });

async function generate(agent: ScriptedAgent, options: GenerationOptions = {}, reload = async () => {}) {
  const connection = await agent.connect();
  const generation = new Generation(connection, MODEL, 'Once', options, reload);
  return { connection, generation };
}

const notLoaded = () => new PynqLlmError('AGENT_MODEL_NOT_LOADED', 'Model is not loaded.');
const unknown = () => new PynqLlmError('AGENT_GENERATION_UNKNOWN', 'There is no generation.');

describe('a generation that is cancelled', () => {
  it('while its model is loaded again is cancelled when it has started at last', async () => {
    const cancels: string[] = [];
    let started = false;
    const agent = scriptedAgent(({ method, params, ...call }) => {
      if (method === 'generate.cancel') {
        if (!started) throw unknown();
        cancels.push((params as Params<'generate.cancel'>).generation);
      }
      if (method !== 'generate.start') return {};
      call.stream();
      if (agent.calls.filter((one) => one.method === 'generate.start').length === 1) throw notLoaded();
      started = true;
      return { promptTokens: 1 };
    });
    let loaded = () => {};
    const reload = () => new Promise<void>((resolve) => (loaded = resolve));
    const { connection, generation } = await generate(agent, {}, reload);
    await expect.poll(() => agent.calls.length).toBe(1);
    await generation.cancel();
    expect(cancels).toEqual([]);
    loaded();
    await expect.poll(() => cancels).toEqual([generation.id]);
    await connection.close();
  });

  it('while its connection is made again is cancelled on the next one', async () => {
    const { agent, streams, methods } = generating(() => ({ promptTokens: 1 }));
    const { connection, generation } = await generate(agent);
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    agent.isDown = true;
    agent.breakNow();
    const cancelled = generation.cancel();
    agent.isDown = false;
    await cancelled;
    await expect.poll(() => methods()).toContain('generate.cancel');
    await connection.close();
  });
});

it('a generation that is refused by its first event was not taken into the queue', async () => {
  const refusal = new PynqLlmError('LLM_PROMPT_TOO_LONG', 'The prompt has 9 tokens.');
  const { agent, streams } = generating(async () => {
    streams[0]!.emit({ type: 'failed', error: refusal.toWire() });
    throw refusal;
  });
  const { connection, generation } = await generate(agent);
  await expect(generation.admitted).rejects.toMatchObject({ code: refusal.code });
  await connection.close();
});

it.each(['AGENT_GENERATION_UNKNOWN', 'FLEET_GENERATION_UNKNOWN'] as const)(
  'a generation that never arrived is begun again where nobody knows of it: %s',
  async (code) => {
    let starts = 0;
    const agent = scriptedAgent(({ method, ...call }) => {
      if (method === 'generate.resume') throw new PynqLlmError(code, 'There is no such generation.');
      if (method !== 'generate.start') return {};
      call.stream();
      if (++starts > 1) return { promptTokens: 1 };
      agent.breakNow();
      return new Promise(() => {});
    });
    const { connection, generation } = await generate(agent);
    await generation.admitted;
    expect(agent.calls.map(({ method }) => method)).toEqual([
      'generate.start',
      'generate.resume',
      'generate.start',
    ]);
    await connection.close();
  },
);

describe('a generation whose agent lives', () => {
  it('and sends nothing is given up at its deadline, and cancelled', async () => {
    const { agent, streams, methods } = generating(() => ({ promptTokens: 1 }));
    const { connection, generation } = await generate(agent, { stallMs: 100 });
    const started = performance.now();
    await expect(generation.done).rejects.toMatchObject({
      code: 'SDK_NO_PROGRESS',
      context: { tokens: 0, stallMs: 100 },
    });
    expect(performance.now() - started).toBeGreaterThan(90);
    await expect.poll(() => methods()).toContain('generate.cancel');
    await expect.poll(() => agent.openStreams).toBe(0);
    expect(streams).toHaveLength(1);
    await connection.close();
  });

  it.each([
    ['does not answer about it', () => new Promise<number>(() => {})],
    [
      'does not know of it',
      () => {
        throw unknown();
      },
    ],
  ])('but %s is given up at its deadline', async (_, steps) => {
    const { agent } = generating(() => ({ promptTokens: 1 }), steps);
    const { connection, generation } = await generate(agent, { stallMs: 100 });
    const started = performance.now();
    await expect(generation.done).rejects.toMatchObject({ code: 'SDK_NO_PROGRESS' });
    expect(performance.now() - started).toBeGreaterThan(90);
    await connection.close();
  });

  it('and computes steps, for its long prompt or for others, is not given up until they end', async () => {
    let steps = 0;
    const { agent, streams } = generating(
      () => ({ promptTokens: 4_000 }),
      () => steps,
    );
    const { connection, generation } = await generate(agent, { stallMs: 200 });
    const reading = generation.text().catch((error: unknown) => error);
    for (let i = 0; i < 16; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      steps++;
    }
    streams[0].emit(token(0));
    const sentAt = performance.now();
    expect(await reading).toMatchObject({ code: 'SDK_NO_PROGRESS', context: { tokens: 1 } });
    expect(performance.now() - sentAt).toBeGreaterThan(190);
    await connection.close();
  });

  it('is not given up while its connection is made again', async () => {
    const { agent, streams } = generating(() => ({ promptTokens: 1 }));
    const { connection, generation } = await generate(agent, { stallMs: 1_000 });
    const ended = generation.done.catch((error: unknown) => error);
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    agent.isDown = true;
    agent.breakNow();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    agent.isDown = false;
    await expect.poll(() => streams[1]?.credit).toBeGreaterThan(0);
    streams[1].emit(token(0));
    expect(await ended).toMatchObject({ code: 'SDK_NO_PROGRESS', context: { tokens: 1 } });
    await connection.close();
  });

  it('and sends a token now and then is not given up', async () => {
    const { agent, streams } = generating(() => ({ promptTokens: 1 }));
    const { connection, generation } = await generate(agent, { stallMs: 1_000 });
    const read: number[] = [];
    const reading = (async () => {
      for await (const { index } of generation) read.push(index);
    })().catch((error: unknown) => error);
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    for (let index = 0; index < 5; index++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      streams[0].emit(token(index));
    }
    await expect.poll(() => read).toEqual([0, 1, 2, 3, 4]);
    expect(await reading).toMatchObject({ code: 'SDK_NO_PROGRESS', context: { tokens: 5 } });
    await connection.close();
  });

  it('is not given up while its reader is the one that waits', async () => {
    const { agent, streams } = generating(() => ({ promptTokens: 1 }));
    const { connection, generation } = await generate(agent, { stallMs: 500, window: 1 });
    await expect.poll(() => streams[0]?.credit).toBe(1);
    streams[0].emit(token(0));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const first = await generation[Symbol.asyncIterator]().next();
    expect(first.value?.index).toBe(0);
    await connection.close();
  });
});
