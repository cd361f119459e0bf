import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { type AgentProcess, cliAgent } from '../system/support/cli.js';
import { PROMPT, TINY } from '../system/support/http-agent.js';

const USERS = 8;
const GREEDY_IN_FLIGHT = 100;
/** Enough for each to have always more to do. */
const MODEST_IN_FLIGHT = 3;
/** Answers that every modest user has had when the counting ends. */
const ANSWERS = 24;
const LEAST = 0.8;
/** A user that was refused asks again, as the greedy one does, without a regard for Retry-After. */
const IMPATIENT_MS = 100;

interface User {
  readonly localAddress: string;
  readonly token?: string;
  readonly nameOf?: (request: number) => string;
}

/** Sends requests over connections of its own, and counts columns: tokens of prompts and answers. */
class Load {
  columns = 0;
  answers = 0;
  refused = 0;
  #isOver = false;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #lines: readonly Promise<void>[];

  constructor(
    readonly url: string,
    readonly user: User,
    inFlight: number,
  ) {
    this.#lines = Array.from({ length: inFlight }, () => this.#ask());
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#agent.destroy();
    await Promise.all(this.#lines);
  }

  async #ask(): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      try {
        const { status, body } = await this.#post(this.user.nameOf?.(i));
        if (status === 200) {
          this.answers++;
          this.columns += JSON.parse(body).usage.total_tokens;
          continue;
        }
        expect([status, body]).toEqual([429, expect.any(String)]);
        this.refused++;
      } catch (error) {
        // Its connections are destroyed at the end.
        if (!this.#isOver) throw error;
      }
      await delay(IMPATIENT_MS);
    }
  }

  async #post(user: string | undefined): Promise<{ status: number | undefined; body: string }> {
    const { localAddress, token } = this.user;
    const sent = request(`${this.url}/v1/completions`, {
      method: 'POST',
      agent: this.#agent,
      localAddress,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    sent.end(
      JSON.stringify({
        model: TINY,
        prompt: PROMPT,
        max_tokens: 12,
        ignore_eos: true,
        ...(user && { user }),
      }),
    );
    const [response] = await once(sent, 'response');
    let body = '';
    for await (const piece of response) body += piece;
    return { status: response.statusCode, body };
  }
}

/** What each user had, of an equal share, while all had more to do. */
async function partsOf(url: string, users: readonly User[]) {
  const greedy = new Load(url, users[0]!, GREEDY_IN_FLIGHT);
  // The greedy one has all places and the whole queue before anybody else comes.
  await vi.waitFor(() => expect(greedy.answers).toBeGreaterThan(8), 60_000);
  const before = greedy.columns;
  const modest = users.slice(1).map((user) => new Load(url, user, MODEST_IN_FLIGHT));
  await vi.waitFor(
    () => expect(Math.min(...modest.map(({ answers }) => answers))).toBeGreaterThanOrEqual(ANSWERS),
    { timeout: 150_000, interval: 20 },
  );
  const columns = [greedy.columns - before, ...modest.map((one) => one.columns)];
  await Promise.all([greedy, ...modest].map((load) => load.end()));
  const equal = columns.reduce((sum, one) => sum + one, 0) / users.length;
  const refused = modest.reduce((sum, one) => sum + one.refused, 0);
  return { parts: columns.map((one) => one / equal), refused, greedyRefused: greedy.refused };
}

const hasLoopbackAliases = await new Promise<boolean>((resolve) => {
  const socket = connectSocket({ host: '127.0.0.1', port: 9, localAddress: '127.0.0.2' });
  socket.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  socket.once('connect', () => {
    socket.destroy();
    resolve(true);
  });
});

const store = temporaryDirectory();
const tokens = Array.from({ length: USERS }, (_, i) => `a-token-of-user-number-${i}`);
let open: AgentProcess;
let locked: AgentProcess;
const urlOf = (agent: AgentProcess) => agent.url.replace(/^ws/, 'http');

beforeAll(async () => {
  const file = join(store.path, 'tokens');
  const lines = tokens.map((token, i) => `infer ${token} user-${i}\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  open = await cliAgent(join(store.path, 'open'), 'mock:');
  locked = await cliAgent(join(store.path, 'locked'), 'mock:', ['--token-file', file]);
  for (const [agent, token] of [
    [open, undefined],
    [locked, tokens[0]],
  ] as const) {
    await using board = await connect(agent.url, { token });
    await board.models.store(TINY_MODEL);
    await board.models.load(TINY);
    await vi.waitFor(async () => expect((await fetch(`${urlOf(agent)}/health`)).status).toBe(200), 10_000);
  }
}, 60_000);
afterAll(async () => {
  await open?.[Symbol.asyncDispose]();
  await locked?.[Symbol.asyncDispose]();
  store[Symbol.dispose]();
});

describe('eight users, one with 100 requests in flight: each modest one has 80 % of an equal share and is never refused', () => {
  const addresses = Array.from({ length: USERS }, (_, i) => ({ localAddress: `127.0.0.${i + 1}` }));
  const check = ({ parts, refused, greedyRefused }: Awaited<ReturnType<typeof partsOf>>) => {
    expect(Math.min(...parts.slice(1))).toBeGreaterThanOrEqual(LEAST);
    expect(refused).toBe(0);
    expect(greedyRefused).toBeGreaterThan(0);
  };

  it.skipIf(!hasLoopbackAliases)(
    'of users by their addresses, the greedy one under ever new names (needs addresses beside 127.0.0.1)',
    async () => {
      const [greedy, ...modest] = addresses;
      check(await partsOf(urlOf(open), [{ ...greedy!, nameOf: (i) => `name ${i}` }, ...modest]));
    },
    240_000,
  );

  it('of users by their tokens, all from one address', async () => {
    const users = tokens.map((token) => ({ localAddress: '127.0.0.1', token }));
    check(await partsOf(urlOf(locked), users));
  }, 240_000);
});
