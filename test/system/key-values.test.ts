import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';

const MIB = 2 ** 20;

it('an agent’s settings of keys and values count where a load says nothing', async () => {
  await using agent = await testAgent({ kv: { type: 'int8', bytes: MIB } });
  await using board = await connect(agent.url);
  const model = await board.models.upload(TINY_MODEL);
  expect(model.info.keyValues).toMatchObject({ type: 'int8' });
  expect(model.info.keyValues?.bytes).toBeLessThanOrEqual(MIB);
  await expect(board.models.load(model.digest, { kvType: 'int8', kvBytes: MIB })).resolves.toBeDefined();
  for (const settings of [{ kvType: 'f16' }, { kvBytes: 2 * MIB }] as const)
    await expect(board.models.load(model.digest, settings)).rejects.toMatchObject({
      code: 'AGENT_MODEL_LOADED_OTHERWISE',
    });
  await board.models.unload(model.digest);
  const other = await board.models.load(model.digest, { kvType: 'f16' });
  expect(other.info.keyValues?.type).toBe('f16');
});

it('memory for less than a page is refused and leaves no weights on the device', async () => {
  await using agent = await testAgent();
  await using board = await connect(agent.url);
  const { digest } = await board.models.store(TINY_MODEL);
  const before = (await board.health()).dmaMemory?.free;
  await expect(board.models.load(digest, { kvBytes: 1000 })).rejects.toMatchObject({ code: 'LLM_KV_MEMORY' });
  await board.models.load(digest);
  await board.models.unload(digest);
  expect((await board.health()).dmaMemory?.free).toBe(before);
});

it('generations that make room for others are spilled, and the same text comes as with room for all', async () => {
  using spill = temporaryDirectory();
  const folder = join(spill.path, 'kv');
  const prompt = (i: number) => ({ text: `Once upon a time there were ${i} little cats. ` });
  const options = { maxTokens: 100, ignoreEos: true, temperature: 1 };
  const tell = async (kvBytes: number | undefined) => {
    await using agent = await testAgent({ kv: { bytes: kvBytes, spill: { folder, maxBytes: MIB } } });
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL);
    const generations = [0, 1, 2, 3].map((seed) => model.generate(prompt(seed), { ...options, seed }));
    const texts = await Promise.all(generations.map((generation) => generation.text()));
    const { models } = await board.metrics();
    expect(readdirSync(folder)).toEqual([]);
    return { texts, kv: models[0]?.kv };
  };
  const short = await tell(300 * 1024);
  const roomy = await tell(undefined);
  expect(short.texts).toEqual(roomy.texts);
  expect(short.kv).toMatchObject({ used: 0, spillFailures: 0 });
  expect(short.kv?.restored).toBeGreaterThan(0);
  expect(roomy.kv).toMatchObject({ preemptions: 0 });
});
