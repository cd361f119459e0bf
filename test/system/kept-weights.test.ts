import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEmbedded } from '../../agent/in-process.js';
import { AgentLink } from '../../fleet/member/agent-link.js';
import { silentLog } from '../../listen/index.js';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';

let store: ReturnType<typeof temporaryDirectory>;
beforeAll(() => {
  store = temporaryDirectory();
});
afterAll(() => store[Symbol.dispose]());

const packedFolder = () => join(store.path, 'packed');

/** Loads the bundled model on an agent that starts for it, and generates some tokens. */
async function session() {
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (facts: { note?: string }) => warnings.push(facts.note ?? '') };
  await using agent = await testAgent({ storeDir: store.path, log });
  await using board = await connect(agent.url);
  const { digest } = await board.models.store(TINY_MODEL);
  const model = await board.models.load(digest);
  const generation = model.generate('Once upon a time', { maxTokens: 4, temperature: 0 });
  let text = '';
  for await (const token of generation) text += token.text;
  return { text, weights: model.weights!, warnings, digest };
}

it('an agent that starts again reads packed weights, and packs damaged ones anew with a word in its log', async () => {
  const first = await session();
  expect(first.weights).toMatchObject({ read: 0, found: 0 });
  expect(first.weights.packed).toBeGreaterThan(500_000);
  const [name] = readdirSync(packedFolder());
  expect(name.startsWith(first.digest)).toBe(true);

  const second = await session();
  expect(second).toEqual({ ...first, weights: { packed: 0, read: first.weights.packed, found: 0 } });

  const path = join(packedFolder(), name);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(path, bytes);
  const third = await session();
  expect(third.text).toBe(first.text);
  expect(third.weights.packed).toBeGreaterThan(0);
  expect(third.warnings).toEqual([expect.stringContaining('damaged and packed anew')]);
  expect((await session()).warnings).toEqual([]);
});

it('a model that is deleted takes its packed weights along', async () => {
  const { digest } = await session();
  await using agent = await testAgent({ storeDir: store.path });
  await using board = await connect(agent.url);
  await board.models.delete(digest);
  expect(readdirSync(packedFolder())).toEqual([]);
});

it('layers of a model are deleted, as a fleet has it done, together with their packed weights', async () => {
  const digest = 'd'.repeat(64);
  const agent = await openEmbedded({ device: 'mock:', storeDir: store.path, threads: 1 });
  const link = await AgentLink.open(agent);
  writeFileSync(join(store.path, 'parts', digest), 'some layers');
  writeFileSync(join(packedFolder(), `${digest}-1`), 'packed');
  await link.request('models.delete', { model: digest });
  for (const folder of ['parts', 'packed']) expect(readdirSync(join(store.path, folder))).toEqual([]);
  await expect(link.request('models.delete', { model: digest })).rejects.toMatchObject({
    code: 'AGENT_MODEL_UNKNOWN',
  });
  await link.close();
  await agent.close();
});
