import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, testAgent } from './support/agent.js';

const PROMPT = 'Once upon a time';

let agent: AgentHandle;
let board: BoardClient;
let model: Model;

beforeAll(async () => {
  agent = await testAgent();
  board = await connect(agent.url);
  model = await board.models.upload(TINY_MODEL);
});
afterAll(async () => {
  await board.close();
  await agent.close();
});

it('requests are served and counted by the class that they name', async () => {
  await Promise.all([
    model.generate(PROMPT, { maxTokens: 5, ignoreEos: true }).text(),
    model
      .generate(PROMPT, { maxTokens: 3, ignoreEos: true, class: 'batch', priority: 2, client: 'night' })
      .text(),
  ]);
  const { classes, columns, steps } = await board.metrics();
  const observed = ({ counts }: { readonly counts: readonly number[] }) => counts.reduce((a, b) => a + b);
  expect(classes.interactive).toMatchObject({ finished: 1, failed: 0, refused: 0 });
  expect(observed(classes.interactive.firstTokenMs)).toBe(1);
  expect(observed(classes.interactive.betweenTokensMs)).toBe(4);
  expect(observed(classes.batch.betweenTokensMs)).toBe(2);
  expect(observed(classes.batch.occupancy)).toBe(steps);
  expect(columns).toBeGreaterThan(8);
});

it('what is not done by its deadline ends with an error that has what was generated', async () => {
  const generation = model.generate(PROMPT, { maxTokens: 10_000, ignoreEos: true, deadlineMs: 400 });
  let text = '';
  const reading = (async () => {
    for await (const token of generation) text += token.text;
  })();
  await expect(reading).rejects.toMatchObject({ code: 'LLM_DEADLINE' });
  const error = await generation.done.catch(
    (reason: { readonly context: Record<string, unknown> }) => reason,
  );
  if (text !== '')
    expect(error).toMatchObject({ context: { text: expect.stringContaining(text.slice(0, 20)) } });
  expect((await board.metrics()).classes.interactive.failed).toBe(1);
});

it('a deadline is kept also where the client stops reading and nobody else makes steps', async () => {
  const started = performance.now();
  const options = { maxTokens: 10_000, ignoreEos: true, window: 2, deadlineMs: 1_000 };
  const generation = model.generate(PROMPT, options);
  await generation[Symbol.asyncIterator]().next();
  await expect(generation.done).rejects.toMatchObject({ code: 'LLM_DEADLINE' });
  expect(performance.now() - started).toBeLessThan(20_000);
});

it('an agent that drains ends what is under way, takes nothing new, and is quiet then', async () => {
  // More than the window: it cannot end before it is read.
  const running = model.generate(PROMPT, { maxTokens: 30, ignoreEos: true, window: 4 });
  const tokens = running[Symbol.asyncIterator]();
  await tokens.next();
  let isQuiet = false;
  const quiet = agent.drain(60_000).then(() => {
    isQuiet = true;
  });
  await expect(model.generate(PROMPT, { maxTokens: 2 }).done).rejects.toMatchObject({
    code: 'AGENT_DRAINING',
  });
  expect(isQuiet).toBe(false);
  while (!(await tokens.next()).done);
  expect(await running.done).toMatchObject({ reason: 'max-tokens', tokens: 30 });
  await quiet;
});

it('does not wait for them beyond its deadline', async () => {
  await using own = await testAgent();
  await using client = await connect(own.url);
  const onOwn = await client.models.upload(TINY_MODEL);
  // Nobody reads it to its end.
  const unread = onOwn.generate(PROMPT, { maxTokens: 30, ignoreEos: true, window: 4 });
  await unread[Symbol.asyncIterator]().next();
  const started = performance.now();
  await own.drain(50);
  expect(performance.now() - started).toBeLessThan(5_000);
  expect((await client.health()).generations).toBe(1);
  await unread.cancel();
});
