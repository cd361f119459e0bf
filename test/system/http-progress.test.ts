import { afterAll, beforeAll, expect, it } from 'vitest';
import { slowMock, TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cliServer } from './support/cli.js';

const home = temporaryDirectory();
let server: AgentProcess;
beforeAll(async () => {
  const args = ['serve', '--device', slowMock(home.path), '--port', '0', '-m', TINY_MODEL];
  server = await cliServer(args, { home: home.path });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

interface Chunk {
  readonly choices: { readonly index: number; readonly text?: string; readonly delta?: object }[];
  readonly prompt_progress?: { total: number; cache: number; processed: number; time_ms: number };
  readonly usage?: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } } | null;
}

async function stream(path: string, body: object): Promise<Chunk[]> {
  const answer = await fetch(`${server.url}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, stream_options: { include_usage: true }, temperature: 0, ...body }),
  });
  const lines = (await answer.text()).split('\n').filter((line) => line.startsWith('data: {'));
  return lines.map((line): Chunk => JSON.parse(line.slice('data: '.length)));
}

/** Some seconds of this board. */
const LONG = 'The dog ran and ran. '.repeat(75);

it('streams tell how far the prompt is, before the first token and where they are asked', async () => {
  const chunks = await stream('completions', { prompt: LONG, max_tokens: 3, return_progress: true });
  const first = chunks.findIndex(({ choices }) => choices[0]?.text);
  const reports = chunks.flatMap(({ prompt_progress: progress }) => (progress ? [progress] : []));
  expect(chunks.slice(0, first).every(({ prompt_progress: progress }) => progress)).toBe(true);
  expect(reports.length).toBe(first);
  expect(reports.length).toBeGreaterThan(2);
  const usage = chunks.at(-1)?.usage;
  expect(reports.at(-1)).toMatchObject({ total: usage?.prompt_tokens, processed: usage?.prompt_tokens });
  const grows = (values: number[]) => values.every((value, i) => i === 0 || value > values[i - 1]);
  expect(grows(reports.map(({ processed }) => processed))).toBe(true);
  expect(reports.every(({ cache, processed }) => cache === 0 && processed >= 0)).toBe(true);
  expect(reports[0].time_ms).toBe(0);
  expect(reports.at(-1)?.time_ms).toBeGreaterThan(500);

  // Its pages are there now, but for the end, which is computed for its logits.
  const again = await stream('chat/completions', {
    messages: [{ role: 'user', content: LONG }],
    max_tokens: 2,
    n: 2,
    return_progress: true,
  });
  const shared = again.flatMap(({ choices, prompt_progress: progress }) =>
    progress ? [{ index: choices[0].index, delta: choices[0].delta, ...progress }] : [],
  );
  for (const index of [0, 1]) {
    const last = shared.findLast((report) => report.index === index);
    expect(last).toMatchObject({ delta: {}, total: usage?.prompt_tokens, processed: usage?.prompt_tokens });
    expect(last?.cache).toBeGreaterThan(100);
    expect((last?.cache ?? 0) % 16).toBe(0);
  }
  expect(again.at(-1)?.usage?.prompt_tokens_details.cached_tokens).toBeGreaterThan(100);

  const silent = await stream('completions', { prompt: LONG, max_tokens: 1 });
  expect(silent.some(({ prompt_progress: progress }) => progress)).toBe(false);
}, 60_000);

it('an answer that has ended before the agent was asked says it all the same', async () => {
  const chunks = await stream('completions', { prompt: 'Once', max_tokens: 0, return_progress: true });
  const reports = chunks.flatMap(({ prompt_progress: progress }) => (progress ? [progress] : []));
  expect(reports).toEqual([
    { total: reports[0].processed, cache: 0, processed: expect.toBeOneOf([1, 2, 3, 4]), time_ms: 0 },
  ]);
});

it('a stream that begins with a scored prompt is not silent until it is scored', async () => {
  const away = new AbortController();
  const answer = await fetch(`${server.url}/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    // Four prompts that begin otherwise: no pages are shared.
    body: JSON.stringify({
      prompt: ['A', 'B', 'C', 'D'].map((letter) => `${letter} ${LONG}`),
      stream: true,
      echo: true,
      logprobs: 0,
      max_tokens: 1,
    }),
    signal: away.signal,
  });
  expect(answer.status).toBe(200);
  const head = performance.now();
  const first = await answer.body!.getReader().read();
  expect(Buffer.from(first.value!).toString()).toMatch(/^(: waiting|data: \{)/);
  // The prompts were not scored when the head came.
  expect(performance.now() - head).toBeGreaterThan(500);
  away.abort();
}, 60_000);
