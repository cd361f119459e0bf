import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { connect as connectDevice } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cliAgent } from './support/cli.js';
import { PROMPT, TINY } from './support/http-agent.js';

/** What an agent on a board has, about; a body of a million values needs that much alone. */
const HEAP_MIB = 110;
const MIB = 1024 * 1024;

const store = temporaryDirectory();
let agent: AgentProcess;
let url: string;
beforeAll(async () => {
  agent = await cliAgent(store.path, 'mock:', [], { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` });
  url = agent.url.replace(/^ws/, 'http');
  const board = await connectDevice(agent.url);
  await board.models.store(TINY_MODEL);
  await board.close();
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(200), 20_000);
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  store[Symbol.dispose]();
});

/** @returns status and code of the answer */
async function post(path: string, body: string): Promise<readonly [number, string | undefined]> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/${path}`, { method: 'POST', body, headers });
  const answer = (await response.json()) as { error?: { code: string } };
  return [response.status, answer.error?.code];
}

const list = (head: string, entry: string, tail: string, count: number) =>
  `${head}${Array(count).fill(entry).join(',')}${tail}`;
const map = (head: string, tail: string, count: number) =>
  `${head}${Array.from({ length: count }, (_, i) => `"key${i}":0`).join(',')}${tail}`;
const chat = `{"model":"${TINY}","messages":`;
const completion = `{"model":"${TINY}","prompt":`;
const HOSTILE: readonly (readonly [string, string, string, number, string])[] = [
  [
    'a million messages',
    'chat/completions',
    list(`${chat}[`, '{}', ']}', 1_398_000),
    400,
    'request_too_complex',
  ],
  ['a million levels', 'completions', `${completion}${'['.repeat(4_000_000)}`, 400, 'request_too_complex'],
  [
    'as many messages as may be',
    'chat/completions',
    list(`${chat}[`, '{}', ']}', 262_000),
    400,
    'invalid_value',
  ],
  [
    'as many parts',
    'chat/completions',
    list(`${chat}[{"role":"u","content":[`, '{}', ']}]}', 262_000),
    400,
    'invalid_value',
  ],
  ['as many prompts', 'completions', list(`${completion}[`, '[]', ']}', 262_000), 400, 'invalid_value'],
  ['as many tokens', 'completions', list(`${completion}[`, '-1', ']}', 131_000), 400, 'invalid_value'],
  [
    'as many biases',
    'completions',
    map(`${completion}"x","logit_bias":{`, '}}', 65_000),
    400,
    'invalid_value',
  ],
  [
    'a schema of as many properties',
    'completions',
    map(
      `${completion}"x","response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{`,
      '}}}}}',
      65_000,
    ),
    400,
    'LLM_SCHEMA_TOO_LARGE',
  ],
  [
    'sixteen answers to as many tokens',
    'completions',
    list(`${completion}[`, '7', '],"n":16}', 131_000),
    400,
    'request_too_large',
  ],
  [
    'a text above any context',
    'completions',
    `${completion}"${'x'.repeat(4 * MIB - 100)}"}`,
    400,
    'PROTOCOL_BAD_PARAMS',
  ],
  [
    'too much of everything',
    'completions',
    `${completion}"${'x'.repeat(5 * MIB)}"}`,
    413,
    'request_too_large',
  ],
];

it.each(HOSTILE)('%s are refused with a 4xx in OpenAI’s form', async (_, path, body, status, code) => {
  expect(await post(path, body)).toEqual([status, code]);
});

it('a stream goes on to its end while hostile bodies come, and twenty at once end nothing', async () => {
  const streamed = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    body: JSON.stringify({
      model: TINY,
      prompt: PROMPT,
      max_tokens: 40,
      ignore_eos: true,
      temperature: 0,
      stream: true,
    }),
  });
  const twenty = Array.from({ length: 20 }, (_, i) => HOSTILE[i % HOSTILE.length]);
  const answers = await Promise.all(twenty.map(([, path, body]) => post(path, body)));
  expect(answers).toEqual(twenty.map(([, , , status, code]) => [status, code]));
  const events = (await streamed.text()).trimEnd().split('\n\n');
  expect(events.at(-1)).toBe('data: [DONE]');
  expect(events.filter((event) => event.includes('"text"')).length).toBeGreaterThan(1);
  expect(await post('completions', `${completion}"${PROMPT}","max_tokens":2}`)).toEqual([200, undefined]);
  expect(agent.child.exitCode).toBeNull();
});

it('twenty of the worst body at once are refused, and the agent is the same afterwards', async () => {
  const [, path, body] = HOSTILE[0];
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(path, body)));
  expect(answers).toEqual(Array(20).fill([400, 'request_too_complex']));
  expect(agent.child.exitCode).toBeNull();
  expect((await fetch(`${url}/health`)).status).toBe(200);
});
