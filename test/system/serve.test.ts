import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { type HttpApi, type HttpApiOptions, serveHttpApi } from '../../http-api/index.js';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { type AgentProcess, cli, cliAgent } from './support/cli.js';

const TINY = 'tiny-stories-Q3_K_M.gguf';
const KEY = 'a-key-that-is-long-enough';
const TLS = { certFile: 'test/fixtures/tls/cert.pem', keyFile: 'test/fixtures/tls/key.pem' };

const cleanUp: AsyncDisposable[] = [];

/** What is closed after the test, the last first. */
function held<T extends AsyncDisposable>(one: T): T {
  cleanUp.push(one);
  return one;
}

afterEach(async () => {
  for (const one of cleanUp.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** A server that listens; its device is not open yet. */
async function listening(
  open: HttpApiOptions['open'],
  options: Partial<HttpApiOptions> = {},
): Promise<HttpApi> {
  return held(await serveHttpApi({ open, port: 0, ...options }));
}

/** An agent of this process, on a free port unless told where. */
async function agentOn(storeDir: string, listen = '127.0.0.1:0'): Promise<AgentHandle> {
  return held(await testAgent({ storeDir, listen }));
}

/** A server that closes waits for connections that fetch keeps. */
const CLOSE = { connection: 'close' };

async function healthOf(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/health`, { headers: { ...CLOSE, ...headers } });
  const retryAfter = answer.headers.get('retry-after');
  const body: { readonly status: string; readonly error?: string } = JSON.parse(await answer.text());
  return { status: answer.status, retryAfter, body };
}

function complete(url: string, maxTokens: number, more: object = {}): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { ...CLOSE, 'content-type': 'application/json' },
    body: JSON.stringify({ model: TINY, prompt: 'Once upon a time', max_tokens: maxTokens, ...more }),
  });
}

/** The status of a request whose Host header says what a web page's address would. */
async function statusForHost(url: string, host: string): Promise<number | undefined> {
  const sent = request(`${url}/v1/models`, { headers: { host } }).end();
  const [answer] = await once(sent, 'response');
  answer.resume();
  return answer.statusCode;
}

const store = temporaryDirectory();
beforeAll(async () => {
  const agent = await agentOn(store.path);
  await using board = await connect(agent.url);
  await board.models.store(TINY_MODEL);
  return () => store[Symbol.dispose]();
});

describe('while the device is opened', () => {
  it('answers 503 that say when to ask again, and serves as soon as it is there', async () => {
    const agent = await agentOn(store.path);
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const api = await listening(() => gate.then(() => connect(agent.url)));
    const opened = api.open();
    expect(await healthOf(api.url)).toEqual({ status: 503, retryAfter: '1', body: { status: 'loading' } });
    const early = await complete(api.url, 1);
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await early.json()).toMatchObject({ error: { type: 'service_unavailable', code: 'loading' } });
    go();
    await opened;
    expect(await healthOf(api.url)).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect((await complete(api.url, 1)).status).toBe(200);
  });

  it('tells only who has a key why the device of an agent cannot be opened', async () => {
    const agent = held(await cliAgentWithTokens('mock:no-such-board'));
    const url = agent.url.replace(/^ws/, 'http');
    const failed = { status: 503, retryAfter: '1', body: { status: 'failed' } };
    await expect.poll(() => healthOf(url)).toEqual(failed);
    const headers = { authorization: `Bearer ${KEY}` };
    expect((await healthOf(url, headers)).body.error).toMatch(/no-such-board/);
    expect((await fetch(`${url}/v1/models`, { headers: CLOSE })).status).toBe(401);
    const models = await fetch(`${url}/v1/models`, { headers: { ...CLOSE, ...headers } });
    expect([models.status, models.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

describe('a device that goes away', () => {
  it('is told of at once, and served again when its agent was away for longer than the SDK waits', async () => {
    const notices: string[] = [];
    using directory = temporaryDirectory();
    // A socket file: a port could be taken by another test meanwhile.
    const socket = `unix:${join(directory.path, 'agent.sock')}`;
    const first = await agentOn(store.path, socket);
    const { url } = first;
    const api = await listening(() => connect(url, { reconnectMs: 5_000 }), {
      report: (text) => notices.push(text),
    });
    await api.open();
    expect((await complete(api.url, 1)).status).toBe(200);
    await first.close();
    const asked = performance.now();
    expect(await healthOf(api.url)).toMatchObject({ status: 503, retryAfter: '1' });
    expect((await complete(api.url, 1)).status).toBe(503);
    expect(performance.now() - asked).toBeLessThan(4_500);
    // None of the two waited for the connection.
    expect(notices.join('\n')).not.toMatch(/could not be made again/);
    await expect.poll(() => notices.join('\n'), { timeout: 30_000 }).toMatch(/could not be made again/);
    await agentOn(store.path, socket);
    await expect.poll(async () => (await healthOf(api.url)).status).toBe(200);
    expect((await complete(api.url, 1)).status).toBe(200);
    expect(notices.at(-1)).toBe('The device is back.');
  });

  it('that hangs does not let health checks wait', async () => {
    const agent = held(await cliAgent(store.path));
    const api = await listening(() => connect(agent.url));
    await api.open();
    agent.child.kill('SIGSTOP');
    const asked = performance.now();
    expect(await healthOf(api.url)).toMatchObject({ status: 503, body: { status: 'lost' } });
    expect(performance.now() - asked).toBeLessThan(20_000);
    agent.child.kill('SIGCONT');
    await expect.poll(async () => (await healthOf(api.url)).status).toBe(200);
  });
});

describe('a server that drains', () => {
  it('answers 503 to new connections until requests under way have ended, then none', async () => {
    const agent = await agentOn(store.path);
    const api = await listening(() => connect(agent.url));
    await api.open();
    const answer = await complete(api.url, 480, { stream: true, ignore_eos: true });
    const closed = api.close();
    const draining = { status: 503, retryAfter: '1', body: { status: 'draining' } };
    expect(await healthOf(api.url)).toEqual(draining);
    const refused = await complete(api.url, 1);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await answer.text()).toMatch(/data: \[DONE\]\n\n$/);
    await closed;
    await expect(healthOf(api.url)).rejects.toThrow();
  });
});

describe('strangers', () => {
  it('who guess at the key are locked out and told for how long, as on an agent', async () => {
    const agent = held(await cliAgentWithTokens('mock:'));
    const api = await listening(() => connect(agent.url, { token: KEY }), { apiKey: KEY });
    await api.open();
    for (const url of [api.url, agent.url.replace(/^ws/, 'http')]) {
      const models = (key: string) =>
        fetch(`${url}/v1/models`, { headers: { ...CLOSE, authorization: `Bearer ${key}` } });
      const statuses: number[] = [];
      for (let i = 0; i < 6; i++) statuses.push((await models(`guess ${i}`)).status);
      expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
      const right = await models(KEY);
      expect(right.status).toBe(429);
      expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(50);
    }
  });

  it('whose own name leads to this machine (DNS rebinding) are refused where nobody needs a key', async () => {
    const agent = held(await cliAgent(store.path));
    const onAgent = agent.url.replace(/^ws/, 'http');
    await expect.poll(async () => (await healthOf(onAgent)).status).toBe(200);
    const api = await listening(() => connect(agent.url));
    await api.open();
    for (const url of [api.url, onAgent]) {
      const { port } = new URL(url);
      for (const host of [
        'attacker.example',
        `attacker.example:${port}`,
        '127.0.0.1.attacker.example',
        '192.0.2.1',
      ])
        expect([host, await statusForHost(url, host)]).toEqual([host, 403]);
      for (const host of [`127.0.0.1:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, 'localhost'])
        expect([host, await statusForHost(url, host)]).toEqual([host, 200]);
    }
    const locked = await listening(() => connect(agent.url), { apiKey: KEY });
    expect(await statusForHost(locked.url, 'board.example')).toBe(401);
  });
});

describe('pynq-llm serve', () => {
  it('gives its token only to the agent whose fingerprint was given', async () => {
    const agent = held(await testAgent({ tls: TLS, token: KEY, storeDir: store.path }));
    const { fingerprint256 } = new X509Certificate(readFileSync(TLS.certFile));
    const serve = (fingerprint: string) =>
      cli(['serve', '-d', agent.url, '--token', KEY, '--port', '0', '--tls-fingerprint', fingerprint], {
        home: store.path,
        onOutput: (child) => child.kill('SIGINT'),
      });
    const wrong = await serve('ab'.repeat(32));
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/SDK_FINGERPRINT_MISMATCH/);
    const right = await serve(fingerprint256);
    expect(right.stderr).toMatch(/answers 503 until/);
    expect(right.stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1\n$/);
    expect(right.status).toBe(0);
  });

  it('ends at once with the error where a model of the start is not there', async () => {
    const args = ['serve', '-d', 'mock:', '--port', '0', '-m', 'no-such-model'];
    const { status, stdout, stderr } = await cli(args, { home: store.path });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/CLI_MODEL_UNKNOWN/);
  });

  it('listens before the device is ready, and Ctrl-C ends it then too', async () => {
    await using silent = createServer((socket) => socket.on('error', () => undefined).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const healths: unknown[] = [];
    const result = await cli(['serve', '-d', `ws://127.0.0.1:${port}`, '--port', '0'], {
      home: store.path,
      onError: (text, child) => {
        const url = /http:\S+/.exec(text)?.[0];
        if (url === undefined) return;
        void healthOf(url).then((health) => {
          healths.push(health);
          child.kill('SIGINT');
        });
      },
    });
    expect(healths).toEqual([{ status: 503, retryAfter: '1', body: { status: 'loading' } }]);
    expect(result).toMatchObject({ status: 130, stdout: '' });
  });
});

function cliAgentWithTokens(device: string): Promise<AgentProcess> {
  const file = join(store.path, 'tokens');
  writeFileSync(file, `admin ${KEY}\n`, { mode: 0o600 });
  return cliAgent(store.path, device, ['--token-file', file]);
}
