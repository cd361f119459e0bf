import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, vi } from 'vitest';
import { type HttpApi, type HttpApiOptions, serveHttpApi } from '../../../http-api/index.js';
import { type BoardClient, connect } from '../../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './agent.js';
import { modelWithChatTemplate } from './chat-model.js';
import { type AgentProcess, cliAgent, cliServer } from './cli.js';

export const TINY = 'tiny-stories-Q3_K_M.gguf';
export const CHAT = 'chat.gguf';
export const PROMPT = 'Once upon a time';
const TEMPLATE = '{% for message in messages %}{{ message.content }} {% endfor %}';

export const TOKENS = {
  read: 'the-token-of-who-may-look',
  infer: 'the-token-of-who-may-generate',
  admin: 'the-token-of-the-administrator',
};

/** An agent in a process of its own, whose port serves the API beside WebSockets, with a model that has a chat template and one that has none. */
export interface HttpAgent extends AsyncDisposable {
  readonly agent: AgentProcess;
  readonly url: string;
  readonly board: BoardClient;
  readonly openai: OpenAI;
  clientOf(apiKey: string, base?: string): OpenAI;
  /** What the SDK generates greedily, to compare with. */
  expected(maxTokens: number, prompt?: string): Promise<string>;
  /** The board behind a server of its own, as `pynq-llm serve` does it. */
  served(options: Omit<HttpApiOptions, 'open' | 'port'>): Promise<HttpApi>;
}

export function startHttpAgent(): Promise<HttpAgent> {
  return startHttp((store, tokens) => cliAgent(store, 'mock:', tokens));
}

/** The same of four mocks as one. */
export function startHttpFleet(): Promise<HttpAgent> {
  return startHttp((store, tokens) =>
    cliServer(['fleet', 'up', '--mocks', '4', '--port', '0', ...tokens], { home: store }),
  );
}

async function startHttp(
  serve: (store: string, tokens: readonly string[]) => Promise<AgentProcess>,
): Promise<HttpAgent> {
  const store = temporaryDirectory();
  const file = join(store.path, 'tokens');
  const lines = Object.entries(TOKENS).map(([role, token]) => `${role} ${token}\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  // However slow the machine is, whole answers are not refused for being silent too long.
  const always = ['--token-file', file, '--log-level', 'info', '--max-silent', '0'];
  const agent = await serve(store.path, always);
  const url = agent.url.replace(/^ws/, 'http');
  const open = () => connect(agent.url, { token: TOKENS.admin });
  const board = await open();
  await board.models.store(TINY_MODEL);
  await board.models.store(modelWithChatTemplate(TEMPLATE), { name: CHAT });
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(200), 10_000);
  const clientOf = (apiKey: string, base = url) =>
    new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });
  return {
    agent,
    url,
    board,
    openai: clientOf(TOKENS.infer),
    clientOf,
    expected: async (maxTokens, prompt = PROMPT) => {
      const model = await board.models.load(TINY);
      return model.generate(prompt, { maxTokens, temperature: 0, topK: 0, topP: 1, minP: 0 }).text();
    },
    served: async (options) => {
      const api = await serveHttpApi({ ...options, open, port: 0 });
      await api.open();
      return api;
    },
    [Symbol.asyncDispose]: async () => {
      await board.close();
      await agent[Symbol.asyncDispose]();
      store[Symbol.dispose]();
    },
  };
}
