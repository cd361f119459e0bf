import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectNats, type NatsOptions } from '../../../bus/index.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';
import { lacking } from '../support/required-packages.js';

let noOpenssl: string | undefined;
try {
  execFileSync('openssl', ['version']);
} catch {
  noOpenssl = lacking('openssl is not installed (apt: openssl)');
}
const missing = noNatsServer ?? noOpenssl;

describe.skipIf(missing)(`TLS to a broker${missing ? `: ${missing}` : ''}`, () => {
  let folder: string;
  const closing: (() => unknown)[] = [];
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const pinOf = (name: string) => new X509Certificate(readFileSync(file(name))).fingerprint256;
  const tls = (name: string) =>
    `tls { cert_file: ${JSON.stringify(file(`${name}.pem`))}, key_file: ${JSON.stringify(file(`${name}.key`))} }`;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nats-tls-'));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    const name = ['-subj', '/CN=broker', '-addext', 'subjectAltName=IP:127.0.0.1'];
    for (const own of ['own', 'other']) {
      openssl('req', '-x509', ...key, ...name, '-keyout', `${own}.key`, '-out', `${own}.pem`);
    }
    openssl('req', '-x509', ...key, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem');
    openssl('req', ...key, '-subj', '/CN=broker', '-keyout', 'signed.key', '-out', 'signed.csr');
    writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1\n');
    const sign = ['x509', '-req', '-days', '2', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-extfile', 'names'];
    openssl(...sign, '-in', 'signed.csr', '-out', 'signed.pem');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });
  const started = async (config: string) => {
    const server = await TestNatsServer.start(config);
    closing.push(() => server[Symbol.asyncDispose]());
    return server;
  };
  const works = async (options: NatsOptions) => {
    const bus = await connectNats(options);
    closing.push(() => bus.close());
    await bus.declareBucket({ name: 'B', maxBytes: 0 });
    expect(await bus.bucket('B').put('k', Buffer.from('x'))).toBeGreaterThan(0);
    return bus;
  };
  const refused = (options: NatsOptions) =>
    expect(connectNats(options)).rejects.toMatchObject({ code: 'BUS_TLS' });

  it('goes to the pinned certificate and to no other', async () => {
    const server = await started(tls('own'));
    const { url } = server;
    const fingerprint = pinOf('own.pem');
    await works({ url, fingerprint });
    await works({ url, fingerprint: fingerprint.replaceAll(':', '').toLowerCase() });
    await refused({ url, fingerprint: pinOf('other.pem') });
    await refused({ url, fingerprint: 'AB:CD' });
    await refused({ url, fingerprint, ca: file('own.pem') });
    // Nobody vouches for it but the pin.
    await refused({ url });
    await refused({ url: url.replace('nats:', 'tls:') });
  });

  it('goes to what the given authority has signed', async () => {
    const { url } = await started(tls('signed'));
    await works({ url, ca: file('ca.pem') });
    await refused({ url, ca: file('other.pem') });
    await refused({ url, ca: file('ca.key') });
    await refused({ url, ca: file('missing.pem') });
    // A pin of what another signed would stand for no key in TLS's own check.
    await refused({ url, fingerprint: pinOf('signed.pem') });
    await refused({ url: url.replace('127.0.0.1', 'localhost'), ca: file('ca.pem') });
  });

  it('never goes on in plain text where TLS was demanded', async () => {
    const { url } = await started('');
    await refused({ url: url.replace('nats:', 'tls:') });
    await refused({ url, fingerprint: pinOf('own.pem') });
    await refused({ url, ca: file('ca.pem') });
  });

  it('does not come back to a broker with another certificate', async () => {
    const server = await started(tls('own'));
    const bus = await works({ url: server.url, fingerprint: pinOf('own.pem') });
    server.configure(tls('other'));
    await server.kill();
    await server.run();
    await expect.poll(() => bus.connected).toBe(false);
    await expect(bus.bucket('B').get('k', { timeoutMs: 1_500 })).rejects.toThrow(/fingerprint .+ is pinned/);
    expect(bus.connected).toBe(false);
    server.configure(tls('own'));
    await server.kill();
    await server.run();
    await expect.poll(() => bus.connected).toBe(true);
  });
});
