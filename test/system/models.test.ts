import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { CHUNK_BYTES } from '../../protocol/index.js';
import { type BoardClient, connect, type UploadPhase } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { breakingProxy } from './support/breaking-proxy.js';

let agent: AgentHandle;
let board: BoardClient;
beforeAll(async () => {
  agent = await testAgent();
  board = await connect(agent.url);
});
afterAll(async () => {
  await board.close();
  await agent.close();
});

describe('an upload', () => {
  it('reports its progress, and the next one of the same content sends nothing', async () => {
    const bytes = randomBytes(5 * CHUNK_BYTES + 17);
    const progress: { phase: UploadPhase | undefined; done: number }[] = [];
    let phase: UploadPhase | undefined;
    const stored = await board.models.store(bytes, {
      name: 'random',
      onPhase: (begun) => {
        phase = begun;
      },
      onProgress: (done, total, unit) => {
        expect([total, unit]).toEqual([bytes.length, 'bytes']);
        progress.push({ phase, done });
      },
    });
    expect(stored).toMatchObject({ names: ['random'], bytes: bytes.length, state: 'stored' });
    const sent = progress.filter((step) => step.phase === 'send').map((step) => step.done);
    expect(sent.length).toBeGreaterThan(1);
    expect(sent.at(-1)).toBe(bytes.length);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    const again: (UploadPhase | undefined)[] = [];
    const renamed = await board.models.store(bytes, {
      name: 'again',
      onPhase: (begun) => {
        phase = begun;
      },
      onProgress: () => again.push(phase),
    });
    expect(renamed.names).toEqual(['random', 'again']);
    expect(again.filter((one) => one === 'send')).toHaveLength(1);
    await board.models.delete('random');
  });

  it('goes on where a connection broke, wherever it broke', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    const bytes = randomBytes(12 * CHUNK_BYTES);
    // Four chunks get through each connection; a restart from the beginning would never end.
    proxy.breakAfter(4.5 * CHUNK_BYTES);
    const stored = await far.models.store(bytes, {
      name: 'broken',
    });
    expect(stored.bytes).toBe(bytes.length);
    expect(proxy.connections).toBeGreaterThanOrEqual(3);
    expect(proxy.connections).toBeLessThanOrEqual(8);
    await board.models.delete(stored.digest);
  });

  it('is given up when no connection brings it forward', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    proxy.breakAfter(200_000);
    await expect(far.models.store(randomBytes(2 * CHUNK_BYTES), { name: 'never' })).rejects.toMatchObject({
      code: 'SDK_CONNECTION_LOST',
    });
  });

  it('ends with the reason of an aborted signal and keeps what came', async () => {
    const bytes = randomBytes(30 * CHUNK_BYTES);
    const abort = new AbortController();
    let phase: UploadPhase | undefined;
    await expect(
      board.models.store(bytes, {
        name: 'aborted',
        signal: abort.signal,
        onPhase: (begun) => {
          phase = begun;
        },
        onProgress: (done) => phase === 'send' && done > 4 * CHUNK_BYTES && abort.abort(new Error('stop')),
      }),
    ).rejects.toThrow('stop');
    let first: number | undefined;
    await board.models.store(bytes, {
      name: 'aborted',
      onPhase: (begun) => {
        phase = begun;
      },
      onProgress: (done) => {
        if (phase === 'send') first ??= done;
      },
    });
    expect(first).toBeGreaterThan(4 * CHUNK_BYTES);
    await board.models.delete('aborted');
  });

  it('of a file that is not there ends in a clear error', async () => {
    await expect(board.models.store('no/such.gguf')).rejects.toMatchObject({ code: 'SDK_MODEL_FILE' });
  });

  it('of an empty file ends in a clear error', async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, 'empty.gguf');
    writeFileSync(path, '');
    await expect(board.models.store(path)).rejects.toMatchObject({ code: 'SDK_MODEL_FILE' });
  });
});

describe('a model on the board', () => {
  it('is found by name, digest or the first digits of it', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const stored = await model.stored();
    expect(stored.state).toBe('loaded');
    expect(await board.models.get('tiny-stories-Q3_K_M.gguf')).toEqual(stored);
    expect(await board.models.get(model.digest.slice(0, 8))).toEqual(stored);
    await expect(board.models.get('nothing')).rejects.toMatchObject({ code: 'AGENT_MODEL_UNKNOWN' });
  });

  it('that is no GGUF file is not sent, or stored when asked for and not loaded', async () => {
    const noise = randomBytes(5000);
    await expect(board.models.upload(noise, { name: 'noise' })).rejects.toMatchObject({
      code: 'GGUF_BAD_MAGIC',
    });
    await expect(board.models.get('noise')).rejects.toMatchObject({ code: 'AGENT_MODEL_UNKNOWN' });
    await board.models.store(noise, { name: 'noise' });
    await expect(board.models.load('noise')).rejects.toMatchObject({ code: 'GGUF_BAD_MAGIC' });
    expect((await board.models.get('noise')).state).toBe('stored');
    await board.models.delete('noise');
  });

  it('reports where its tensors are, and the plan before says the same', async () => {
    const model = await board.models.upload(TINY_MODEL);
    await model.unload();
    const shapes = model.placement.tensors.map(({ name, type, rows, columns }) => ({
      name,
      type,
      rows,
      columns,
    }));
    const plan = await board.models.plan(shapes);
    expect(plan.tensors.map(({ name, placement }) => [name, placement])).toEqual(
      model.placement.tensors.map(({ name, placement }) => [name, placement]),
    );
  });

  it('reports progress while it is loaded, and is not deleted while it generates', async () => {
    const steps: number[] = [];
    const model = await board.models.load('tiny-stories-Q3_K_M.gguf', {
      onProgress: (done, total) => steps.push(done / total),
    });
    expect(steps.at(-1)).toBe(1);
    const generation = model.generate('Once', { maxTokens: 300, ignoreEos: true });
    for await (const token of generation) {
      if (token.index === 1) {
        await expect(board.models.delete(model.digest)).rejects.toMatchObject({ code: 'AGENT_MODEL_BUSY' });
        break;
      }
    }
    await board.models.delete(model.digest);
    await expect(board.models.load('tiny-stories-Q3_K_M.gguf')).rejects.toMatchObject({
      code: 'AGENT_MODEL_UNKNOWN',
    });
  });

  it('is refused with another context length than it is loaded with', async () => {
    const model = await board.models.upload(TINY_MODEL, { contextLength: 128 });
    expect(model.info).toMatchObject({ contextLength: 128, trainedContextLength: 512 });
    await expect(board.models.load(model.digest, { contextLength: 64 })).rejects.toMatchObject({
      code: 'AGENT_MODEL_LOADED_OTHERWISE',
    });
    await model.unload();
  });

  it('scores tokens as they are generated', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const prompt = await model.tokenize('Once upon a time');
    const tokens = [];
    for await (const token of model.generate(
      { tokens: prompt },
      { maxTokens: 20, temperature: 0, topLogprobs: 3 },
    ))
      tokens.push(token);
    const all = [...prompt, ...tokens.map(({ id }) => id)];
    const { logprobs, top } = await model.score(all, { topLogprobs: 3 });
    expect(logprobs[0]).toBeNull();
    expect(logprobs.slice(prompt.length)).toEqual(tokens.map(({ logprob }) => logprob));
    expect(top.slice(prompt.length - 1, -1)).toEqual(tokens.map((token) => token.top));
    const part = await model.score(all, { topLogprobs: 3, from: prompt.length });
    expect(part.logprobs).toEqual(logprobs.slice(prompt.length));
    expect(part.top).toEqual(top.slice(prompt.length));
  });

  it('has a perplexity that is the mean over the second halves of its windows', async () => {
    const whole = await board.models.upload(TINY_MODEL);
    await whole.unload();
    const model = await board.models.upload(TINY_MODEL, { contextLength: 32 });
    const text =
      'Once upon a time, there was a little girl named Lily. She liked to play in the park. '.repeat(12);
    const tokens = await model.tokenize(text);
    const logprobs: (number | null)[] = [];
    for (let start = 0; start + 32 <= tokens.length; start += 32) {
      const scored = await model.score([tokens[0], ...tokens.slice(start + 1, start + 32)]);
      logprobs.push(...scored.logprobs.slice(17));
    }
    const mean = logprobs.reduce<number>((sum, logprob) => sum + (logprob ?? 0), 0) / logprobs.length;
    const progress: [number, number, string][] = [];
    const result = await model.perplexity(text, { onProgress: (...one) => progress.push(one) });
    const total = 32 * result.windows;
    expect(progress.at(-1)).toEqual([total, total, 'tokens']);
    expect(progress).toEqual(progress.toSorted(([a], [b]) => a - b).map(([done]) => [done, total, 'tokens']));
    expect(progress.length).toBeGreaterThanOrEqual(result.windows);
    expect(result).toMatchObject({ windows: Math.floor(tokens.length / 32), tokens: logprobs.length });
    expect(result.windows).toBeGreaterThan(1);
    expect(result.meanLogprob).toBeCloseTo(mean, 10);
    await model.unload();
  });

  it('tells how far the scoring of a long text has come', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const progress: number[] = [];
    await model.score(Array<number>(model.info.contextLength).fill(80), {
      onProgress: (done, total) => progress.push(done / total),
    });
    expect(progress.length).toBeGreaterThan(0);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress[0]).toBeGreaterThan(0);
    expect(progress.at(-1)).toBeLessThan(1);
  });

  it('computes scores no further once nobody waits for them', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const cancelled = async () => (await board.metrics()).classes.batch.cancelled;
    const before = await cancelled();
    const enough = new AbortController();
    const scores = model.score(Array<number>(model.info.contextLength).fill(80), {
      signal: enough.signal,
      onProgress: () => enough.abort(new Error('enough')),
    });
    await expect(scores).rejects.toThrow('enough');
    await expect.poll(cancelled).toBe(before + 1);
    expect((await board.metrics()).models.flatMap(({ sequences }) => sequences)).toEqual([]);
  });

  it('turns text into tokens and back', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const text = 'Lily saw a ünïcode 🙂.';
    expect(await model.detokenize(await model.tokenize(text))).toBe(text);
  });

  it('tells what each token stands for, to the byte', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const text = ' ünïcode 🙂';
    const ids = await model.tokenize(text, { addSpecial: false });
    const pieces = await model.pieces(ids);
    expect(pieces.length).toBeGreaterThan(text.length);
    expect(Buffer.concat(pieces).toString().trimStart()).toBe(text.trimStart());
    expect((await model.pieces([model.info.bosToken!]))[0]).toHaveLength(0);
  });

  it('says so when it has no chat template', async () => {
    const model = await board.models.upload(TINY_MODEL);
    const messages = [{ role: 'user', content: 'Hello' }];
    await expect(model.generate({ messages }).text()).rejects.toMatchObject({
      code: 'LLM_CHAT_TEMPLATE_MISSING',
    });
  });

  it('is uploaded from bytes as well as from a file', async () => {
    const fromFile = await board.models.store(TINY_MODEL);
    const fromBytes = await board.models.store(readFileSync(TINY_MODEL), { name: 'bytes' });
    expect(fromBytes.digest).toBe(fromFile.digest);
  });
});

describe('the mock inside this process', () => {
  it('runs the example of the documentation', async () => {
    using directory = temporaryDirectory();
    await using local = await connect('mock:', { storeDir: directory.path });
    const model = await local.models.upload(TINY_MODEL);
    let text = '';
    for await (const token of model.generate('Once upon a time', { maxTokens: 64, seed: 1 }))
      text += token.text;
    expect(text.length).toBeGreaterThan(50);
    expect((await local.counters.read()).traffic.coreCycles).toBeGreaterThan(0);
  });

  it('fails with a clear error after it was closed', async () => {
    using directory = temporaryDirectory();
    const local = await connect('mock:', { storeDir: directory.path });
    await local.close();
    await expect(local.health()).rejects.toMatchObject({ code: 'SDK_CLOSED' });
    await local.close();
  });
});
