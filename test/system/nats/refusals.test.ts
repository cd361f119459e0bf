import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bus, connectNats, createKey, ownKey } from '../../../bus/index.js';
import { type ErrorCodeName, PynqLlmError } from '../../../errors/index.js';
import { freePort } from '../support/free-port.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

const bytes = (text: string) => Buffer.from(text);
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});
const started = async (config = '', jetStream = true) => {
  const server = await TestNatsServer.start(config, jetStream);
  closing.push(() => server[Symbol.asyncDispose]());
  return server;
};
async function fails(work: Promise<Bus>, code: ErrorCodeName): Promise<PynqLlmError> {
  try {
    const bus = await work;
    closing.push(() => bus.close());
  } catch (error) {
    expect(error).toBeInstanceOf(PynqLlmError);
    expect((error as PynqLlmError).code).toBe(code);
    return error as PynqLlmError;
  }
  throw new Error(`${code} was expected`);
}
/** Something that listens and says `greeting`. */
async function listening(greeting: string): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.write(greeting);
    closing.push(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return `nats://127.0.0.1:${(server.address() as { port: number }).port}`;
}
const greeting = (info: object) =>
  `INFO ${JSON.stringify({ server_id: 'X', proto: 1, headers: true, jetstream: true, max_payload: 1_048_576, ...info })}\r\nPONG\r\n`;

describe('a broker that cannot be used', () => {
  it.each(['', 'nats', 'http://a:1', 'nats://', 'nats://a/b', 'nats://a?x=1', 'nats://a:99999'])(
    'is none by its URL: %j',
    async (url) => {
      await fails(connectNats({ url }), 'BUS_URL_INVALID');
    },
  );

  it('is none with a password in its URL, which is not repeated', async () => {
    const error = await fails(connectNats({ url: 'nats://me:secret@host' }), 'BUS_URL_INVALID');
    expect(error.message).not.toContain('secret');
  });

  it('is not there', async () => {
    const port = await freePort();
    const error = await fails(connectNats({ url: `nats://127.0.0.1:${port}` }), 'BUS_UNAVAILABLE');
    expect(error.message).toContain(`127.0.0.1:${port} cannot be used as a broker`);
    expect(error.message).toContain('ECONNREFUSED');
    await fails(connectNats({ url: 'nats://no-such-host.invalid' }), 'BUS_UNAVAILABLE');
  });

  it('says nothing, or something else, and the wait ends', async () => {
    const silent = await listening('');
    await fails(connectNats({ url: silent, timeoutMs: 300 }), 'BUS_UNAVAILABLE');
    await fails(connectNats({ url: await listening('HTTP/1.1 200 OK\r\n\r\n') }), 'BUS_UNAVAILABLE');
    await fails(connectNats({ url: await listening('INFO {\r\n') }), 'BUS_UNAVAILABLE');
    const pin = { fingerprint: '00'.repeat(32), timeoutMs: 300 };
    await fails(connectNats({ url: silent, ...pin }), 'BUS_UNAVAILABLE');
    await fails(connectNats({ url: await listening('x'.repeat(100_000)), ...pin }), 'BUS_UNAVAILABLE');
  });

  it.each(['2.9.9', '1.4.1', '0.0.0'])('is too old: %s', async (version) => {
    const error = await fails(
      connectNats({ url: await listening(greeting({ version })) }),
      'BUS_BROKER_TOO_OLD',
    );
    expect(error.message).toContain('2.9.10');
  });

  it('lets only small messages through', async () => {
    const url = await listening(greeting({ version: '2.10.0', max_payload: 65_536 }));
    const error = await fails(connectNats({ url }), 'BUS_SERVER_LIMIT');
    expect(error.message).toContain('max_payload');
  });
});

describe.skipIf(noNatsServer)(`a real broker that refuses${noNatsServer ? `: ${noNatsServer}` : ''}`, () => {
  it('stores nothing', async () => {
    const server = await started('', false);
    const error = await fails(connectNats({ url: server.url }), 'BUS_NO_JETSTREAM');
    expect(error.message).toContain('jetstream {');
  });

  it('has no store for this account', async () => {
    const server = await started(
      'accounts { A { jetstream: enabled, users: [{ user: a, password: a }] }, B { users: [{ user: b, password: b }] } }\nno_auth_user: b',
    );
    const bus = await connectNats({ url: server.url });
    closing.push(() => bus.close());
    const limits = { maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 60_000 };
    await expect(bus.declareLog({ name: 'L', ...limits })).rejects.toMatchObject({
      code: 'BUS_NO_JETSTREAM',
    });
  });

  it('knows the key or not', async () => {
    const server = await started();
    const [known, unknown] = [join(server.folder, 'known.nk'), join(server.folder, 'unknown.nk')];
    const key = await createKey(known);
    await createKey(unknown);
    expect(await ownKey(known)).toBe(key);
    server.configure(`authorization { users: [{ nkey: ${key} }] }`);
    await server.kill();
    await server.run();
    const bus = await connectNats({ url: server.url, credentials: known });
    closing.push(() => bus.close());
    expect(bus.connected).toBe(true);
    await fails(connectNats({ url: server.url, credentials: unknown }), 'BUS_CREDENTIALS_REFUSED');
    await fails(connectNats({ url: server.url }), 'BUS_CREDENTIALS_REFUSED');

    // A key that is taken out of the configuration is thrown out at once, and let in again when it is back.
    const other = await createKey(join(server.folder, 'other.nk'));
    server.configure(`authorization { users: [{ nkey: ${other} }] }`);
    server.reload();
    await expect.poll(() => bus.connected).toBe(false);
    const waited = await bus
      .request('a', bytes('?'), { timeoutMs: 1_500 })
      .catch((error: PynqLlmError) => error);
    expect(waited).toMatchObject({ code: 'BUS_UNAVAILABLE' });
    expect((waited as PynqLlmError).message).toMatch(/refuses the connection/);
    server.configure(`authorization { users: [{ nkey: ${key} }] }`);
    server.reload();
    await expect.poll(() => bus.connected).toBe(true);
  });

  it('gets no key from a file that is open to others, or holds none', async () => {
    const server = await started();
    const file = join(server.folder, 'key.nk');
    const connecting = () => connectNats({ url: server.url, credentials: file });
    expect((await fails(connecting(), 'BUS_CREDENTIALS_FILE')).message).toContain('ENOENT');
    await createKey(file);
    await expect(createKey(file)).rejects.toMatchObject({ code: 'BUS_CREDENTIALS_FILE' });
    chmodSync(file, 0o640);
    const open = await fails(connecting(), 'BUS_CREDENTIALS_FILE');
    expect(open.message).toMatch(/read by others \(mode 640\).+chmod 600/);
    chmodSync(file, 0o600);
    for (const content of ['', 'SUABC', 'x'.repeat(100_000), `UA${'A'.repeat(54)}`]) {
      writeFileSync(file, content);
      await fails(connecting(), 'BUS_CREDENTIALS_FILE');
    }
    await fails(connectNats({ url: server.url, credentials: server.folder }), 'BUS_CREDENTIALS_FILE');
    // A seed whose check sum is wrong.
    writeFileSync(file, `SU${'A'.repeat(56)}`);
    await fails(connecting(), 'BUS_CREDENTIALS_FILE');
  });

  it('has too little room', async () => {
    const server = await started();
    server.configure('', false);
    const store = JSON.stringify(join(server.folder, 'store'));
    server.configure(`jetstream { store_dir: ${store}, max_file_store: 64K, max_memory_store: 64K }`, false);
    await server.kill();
    await server.run();
    const bus = await connectNats({ url: server.url });
    closing.push(() => bus.close());
    const limits = { maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 60_000 };
    await bus.declareLog({ name: 'L', ...limits });
    const appends = async () => {
      for (let i = 0; i < 20; i++) await bus.log('L').append('a', String(i), new Uint8Array(10_000));
    };
    await expect(appends()).rejects.toMatchObject({ code: 'BUS_STORE_FULL' });
    await expect(bus.declareLog({ name: 'M', ...limits, maxBytes: 1 << 30 })).rejects.toMatchObject({
      code: 'BUS_STORE_FULL',
    });
  });

  it('has another stream of that name', async () => {
    const server = await started();
    const bus = await connectNats({ url: server.url });
    closing.push(() => bus.close());
    const limits = { maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 60_000 };
    await bus.declareLog({ name: 'Q', ...limits });
    await expect(
      bus.declareQueue({ name: 'Q', ...limits, ackWaitMs: 1_000, maxDeliveries: 3 }),
    ).rejects.toMatchObject({ code: 'BUS_REFUSED' });
    await expect(bus.queue('Q').openLane('any')).rejects.toMatchObject({ code: 'BUS_REFUSED' });
  });
});
