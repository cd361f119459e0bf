import { fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type AgentHandle, startAgent } from '../../agent/index.js';
import { silentLog } from '../../listen/index.js';
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES, PROTOCOL_VERSION } from '../../protocol/index.js';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';

const TOKEN = 'a-token-of-an-administrator';
const TLS = { keyFile: 'test/fixtures/tls/key.pem', certFile: 'test/fixtures/tls/cert.pem' };

let agent: AgentHandle | undefined;
afterEach(async () => {
  await agent?.close();
  agent = undefined;
});

interface Frame {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string };
  readonly refused?: { readonly code: string };
  readonly fatal?: { readonly code: string };
}

/** A client without the SDK: sends what it is told and keeps what comes. */
async function rawClient(url: string, options: { readonly origin?: string } = {}) {
  const socket = new WebSocket(url, options);
  const frames: Frame[] = [];
  let closed: { code: number; reason: string } | undefined;
  socket.on('message', (data) => frames.push(decodeFrame(data as Buffer) as Frame));
  socket.on('close', (code, reason) => {
    closed = { code, reason: reason.toString() };
  });
  socket.on('error', () => {});
  await once(socket, 'open');
  return {
    socket,
    frames,
    send: (frame: object) => socket.send(encodeFrame(frame)),
    hello: () =>
      socket.send(
        encodeFrame({ id: 0, method: 'hello', params: { protocol: PROTOCOL_VERSION, client: 'raw' } }),
      ),
    closed: () => closed,
  };
}

describe('an agent', () => {
  it('serves a WebSocket on loopback', async () => {
    agent = await testAgent();
    await using board = await connect(agent.url);
    expect(board.info).toMatchObject({ device: 'mock:', description: { name: 'pynq-z1' } });
    expect(board.role).toBe('admin');
  });

  it('serves a Unix socket that only its user can open', async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, 'agent.sock');
    agent = await testAgent({ listen: `unix:${path}` });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await using board = await connect(`unix:${path}`);
    expect((await board.health()).state).toBe('ready');
  });

  it('takes over the Unix socket of a killed agent, but not that of a running one', async () => {
    using directory = temporaryDirectory();
    const listen = `unix:${join(directory.path, 'agent.sock')}`;
    const child = fork(new URL('./support/agent-child.js', import.meta.url), [
      listen,
      join(directory.path, 'store'),
    ]);
    await once(child, 'message');
    await expect(testAgent({ listen })).rejects.toMatchObject({ code: 'AGENT_LISTEN_FAILED' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    agent = await testAgent({ listen });
    await using board = await connect(listen);
    expect(board.info.description.name).toBe('pynq-z1');
  });

  it('serves TLS to clients that trust its certificate', async () => {
    agent = await testAgent({ tls: TLS, token: TOKEN });
    expect(agent.url).toMatch(/^wss:/);
    const ca = readFileSync(TLS.certFile, 'utf8');
    await using board = await connect(agent.url, { ca, token: TOKEN });
    expect(board.role).toBe('admin');
    await expect(connect(agent.url, { token: TOKEN })).rejects.toMatchObject({ code: 'SDK_CONNECT_FAILED' });
  });

  it('serves TLS to clients that pin its certificate, whoever signed it', async () => {
    const lines: unknown[] = [];
    const log = { ...silentLog, info: (facts: unknown) => lines.push(facts) };
    agent = await testAgent({ tls: TLS, token: TOKEN, log });
    const { fingerprint256 } = new X509Certificate(readFileSync(TLS.certFile));
    expect(lines).toContainEqual(expect.objectContaining({ fingerprint: fingerprint256 }));
    for (const fingerprint of [fingerprint256, fingerprint256.replaceAll(':', '').toLowerCase()]) {
      await using board = await connect(agent.url, { fingerprint, token: TOKEN });
      expect(board.role).toBe('admin');
    }
  });

  it('is told nothing by a client that pins another certificate', async () => {
    let sent = 0;
    const server = createTlsServer(
      { key: readFileSync(TLS.keyFile), cert: readFileSync(TLS.certFile) },
      (socket) => socket.on('data', (data) => (sent += data.length)).on('error', () => {}),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const fingerprint = 'ab'.repeat(32);
    const attempt = connect(`wss://127.0.0.1:${port}`, { fingerprint, token: TOKEN });
    await expect(attempt).rejects.toMatchObject({
      code: 'SDK_FINGERPRINT_MISMATCH',
      context: { expected: fingerprint.toUpperCase().match(/../g)?.join(':') },
    });
    expect(sent).toBe(0);
    server.close();
  });

  it.each([[['status']], [['doctor', '--no-touch']]])(
    'is asked by %j only with the certificate whose fingerprint was given',
    async (command) => {
      using home = temporaryDirectory();
      agent = await testAgent({ tls: TLS, token: TOKEN });
      const device = ['-d', agent.url, '--token', TOKEN];
      const ask = (fingerprint: string) =>
        cli([...command, ...device, '--tls-fingerprint', fingerprint], { home: home.path });
      const { fingerprint256 } = new X509Certificate(readFileSync(TLS.certFile));
      const right = await ask(fingerprint256);
      expect(right.stdout).toMatch(/agent .* on Node/);
      const wrong = await ask('ab'.repeat(32));
      expect(wrong.status).toBe(1);
      expect(wrong.stdout + wrong.stderr).toContain('SDK_FINGERPRINT_MISMATCH');
    },
  );

  it('says what is wrong with a certificate', async () => {
    const tls = { ...TLS, certFile: 'test/fixtures/tls/README.md' };
    await expect(testAgent({ tls })).rejects.toMatchObject({ code: 'AGENT_TLS' });
  });

  it('listens beyond loopback only with a token', async () => {
    await expect(testAgent({ listen: '0.0.0.0:0' })).rejects.toMatchObject({ code: 'AGENT_LISTEN_ADDRESS' });
    agent = await testAgent({ listen: '0.0.0.0:0', token: TOKEN });
    await using board = await connect(agent.url.replace('0.0.0.0', '127.0.0.1'), { token: TOKEN });
    expect(board.role).toBe('admin');
  });

  it('says so when the port is taken', async () => {
    agent = await testAgent();
    const listen = new URL(agent.url).host;
    await expect(testAgent({ listen })).rejects.toMatchObject({ code: 'AGENT_LISTEN_FAILED' });
  });

  it('refuses a device that it does not know before it listens', async () => {
    await expect(startAgent({ device: 'usb:1', listen: '127.0.0.1:0' })).rejects.toMatchObject({
      code: 'AGENT_DEVICE_URL',
    });
  });

  it('tells clients when its device cannot be opened', async () => {
    agent = await testAgent({ device: 'mock:no-such-board' });
    await expect(connect(agent.url)).rejects.toMatchObject({
      code: 'AGENT_DEVICE_FAILED',
      context: { code: 'DRIVER_BOARD_UNKNOWN' },
    });
  });

  it('refuses browsers by their origin, unless it is listed', async () => {
    agent = await testAgent({ origins: ['https://good.example'] });
    await expect(rawClient(agent.url, { origin: 'https://evil.example' })).rejects.toThrow('403');
    const good = await rawClient(agent.url, { origin: 'https://good.example' });
    good.hello();
    await expect.poll(() => good.frames[0]?.result).toBeDefined();
    good.socket.terminate();
  });

  it('tells its clients when it closes', async () => {
    agent = await testAgent();
    const client = await rawClient(agent.url);
    client.hello();
    await expect.poll(() => client.frames.length).toBe(1);
    await agent.close();
    await expect.poll(() => client.closed()?.reason).toBe('AGENT_CLOSING');
    expect(client.frames.at(-1)?.fatal?.code).toBe('AGENT_CLOSING');
  });
});

describe('an agent with tokens', () => {
  const tokens = { read: 'a-token-for-reading', infer: 'a-token-for-inference', admin: TOKEN };

  it('gives each client the role of its token', async () => {
    agent = await testAgent({ token: tokens });
    await using reader = await connect(agent.url, { token: tokens.read });
    await using user = await connect(agent.url, { token: tokens.infer });
    await using admin = await connect(agent.url, { token: tokens.admin });
    expect([reader.role, user.role, admin.role]).toEqual(['read', 'infer', 'admin']);
    const write = [{ register: 'hwc.RESET', value: 1 }];
    await expect(reader.models.store(TINY_MODEL)).rejects.toMatchObject({ code: 'PROTOCOL_ROLE_REQUIRED' });
    await expect(user.registers.write(write)).rejects.toMatchObject({ code: 'PROTOCOL_ROLE_REQUIRED' });
    await expect(user.buffers.allocate(64)).rejects.toMatchObject({ code: 'PROTOCOL_ROLE_REQUIRED' });
    await admin.registers.write(write);
    expect((await reader.registers.read(['hwc.RESET']))[0].value).toBe(1);
    await admin.registers.write([{ register: 'hwc.RESET', value: 0 }]);
  });

  it('refuses a missing and a wrong token', async () => {
    agent = await testAgent({ token: tokens });
    await expect(connect(agent.url)).rejects.toMatchObject({ code: 'AGENT_UNAUTHORISED' });
    await expect(connect(agent.url, { token: 'wrong' })).rejects.toMatchObject({
      code: 'AGENT_UNAUTHORISED',
    });
  });

  it('stops looking at tokens of an address that keeps guessing', async () => {
    agent = await testAgent({ token: tokens });
    for (let i = 0; i < 5; i++) await connect(agent.url, { token: `guess ${i}` }).catch(() => {});
    await expect(connect(agent.url, { token: tokens.admin })).rejects.toMatchObject({
      code: 'AGENT_TOO_MANY_ATTEMPTS',
    });
  });

  it('refuses a token that is no secret', async () => {
    await expect(testAgent({ token: 'short' })).rejects.toMatchObject({ code: 'AGENT_TOKEN_INVALID' });
  });
});

describe('an agent with a hostile client', () => {
  it('refuses bad frames with a code, and serves others on', async () => {
    agent = await testAgent();
    await using board = await connect(agent.url);
    const hostile = await rawClient(agent.url);
    hostile.hello();
    hostile.socket.send('{"method":"hello"}');
    hostile.socket.send(new Uint8Array(0));
    hostile.socket.send(new Uint8Array(1000).fill(0x91));
    hostile.socket.send(Uint8Array.of(0xd4, 0, 0));
    hostile.send({ id: 0, method: 'board.info', params: {} });
    hostile.send({ id: 1, method: 'registers.read', params: { registers: ['control.NONE'] } });
    await expect.poll(() => hostile.frames.length).toBe(7);
    expect(hostile.frames.map((frame) => (frame.refused ?? frame.error)?.code)).toEqual([
      undefined,
      'PROTOCOL_FRAME_MALFORMED',
      'PROTOCOL_FRAME_MALFORMED',
      'PROTOCOL_FRAME_TOO_COMPLEX',
      'PROTOCOL_TYPE_REFUSED',
      'PROTOCOL_DUPLICATE_ID',
      'DRIVER_UNKNOWN_REGISTER',
    ]);
    hostile.socket.terminate();
    expect((await board.health()).state).toBe('ready');
  });

  it('says that a frame is too large, and closes the connection of one far too large', async () => {
    agent = await testAgent();
    const hostile = await rawClient(agent.url);
    hostile.hello();
    hostile.socket.send(new Uint8Array(MAX_FRAME_BYTES + 1));
    await expect.poll(() => hostile.frames[1]?.refused?.code).toBe('PROTOCOL_FRAME_TOO_LARGE');
    hostile.socket.send(new Uint8Array(2 * MAX_FRAME_BYTES + 1));
    await expect.poll(() => hostile.closed()?.code).toBe(1009);
  });

  it('answers a plain HTTP request with what it is', async () => {
    agent = await testAgent();
    const response = await fetch(agent.url.replace('ws:', 'http:'), { headers: { connection: 'close' } });
    expect(response.status).toBe(426);
    expect(await response.text()).toContain('WebSocket');
  });
});

describe('a client of an agent that is killed', () => {
  it('gets a clear error for what was under way, and works again with the next agent', async () => {
    using directory = temporaryDirectory();
    const store = join(directory.path, 'store');
    const script = new URL('./support/agent-child.js', import.meta.url);
    const start = async (listen: string) => {
      const child = fork(script, [listen, store]);
      // The child sends its URL when it listens.
      const [url] = (await once(child, 'message')) as [string];
      return { child, url };
    };
    // A socket file: a port could be taken by another test before the next agent listens there.
    const socket = `unix:${join(directory.path, 'agent.sock')}`;
    const first = await start(socket);
    await using board = await connect(first.url, { reconnectMs: 30_000 });
    const model = await board.models.upload(TINY_MODEL);
    const long = Array<number>(500).fill(80);
    const underWay = Array.from({ length: 20 }, () => model.score(long).catch((error: unknown) => error));
    await board.health();
    first.child.kill('SIGKILL');
    const outcomes = await Promise.all(underWay);
    const lost = outcomes.filter((outcome) => outcome instanceof Error);
    expect(lost).toContain(outcomes.at(-1));
    for (const error of lost) expect(error).toMatchObject({ code: 'SDK_CONNECTION_LOST' });
    const next = await start(socket);
    try {
      expect((await board.health()).state).toBeDefined();
      expect((await model.generate('Once', { maxTokens: 3 }).text()).length).toBeGreaterThan(0);
      await using impatient = await connect(next.url, { reconnectMs: 300 });
      const cut = (await impatient.models.load(model.digest)).generate('Once', {
        maxTokens: 400,
        ignoreEos: true,
        window: 4,
      });
      const reading = (async () => {
        for await (const token of cut) if (token.index === 2) next.child.kill('SIGKILL');
      })();
      await expect(reading).rejects.toMatchObject({ code: 'SDK_CONNECTION_LOST' });
    } finally {
      next.child.kill('SIGKILL');
    }
  });

  it('gives up at once where nobody listens', async () => {
    agent = await testAgent();
    const { url } = agent;
    await agent.close();
    agent = undefined;
    await expect(connect(url)).rejects.toMatchObject({ code: 'SDK_CONNECT_FAILED' });
  });
});
