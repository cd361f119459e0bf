import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckReport } from '../../../sdk/index.js';
import { temporaryDirectory } from '../support/agent.js';
import { cli } from '../support/cli.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';
import { lacking } from '../support/required-packages.js';
import { noSshd, startSshd, type TestSshd } from '../support/sshd.js';

let noOpenssl: string | undefined;
try {
  execFileSync('openssl', ['version']);
} catch {
  noOpenssl = lacking('openssl is not installed (apt: openssl)');
}
const missing = noNatsServer ?? noSshd ?? noOpenssl;

describe.skipIf(missing)(
  `doctor and a broker, through the board's SSH server${missing ? `: ${missing}` : ''}`,
  () => {
    const home = temporaryDirectory();
    const file = (name: string) => join(home.path, name);
    let sshd: TestSshd;
    let broker: TestNatsServer;
    let pin: string;

    beforeAll(async () => {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
      const out = ['-keyout', file('broker.key'), '-out', file('broker.pem')];
      execFileSync('openssl', ['req', '-x509', ...key, '-subj', '/CN=broker', ...out], { stdio: 'pipe' });
      pin = new X509Certificate(readFileSync(file('broker.pem'))).fingerprint256;
      const tls = `tls { cert_file: ${JSON.stringify(file('broker.pem'))}, key_file: ${JSON.stringify(file('broker.key'))} }`;
      broker = await TestNatsServer.start(`${tls}\nauthorization { user: a, password: b }`);
      sshd = await startSshd();
      writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), sshd.knownHostsLine);
    });
    afterAll(async () => {
      await sshd?.[Symbol.asyncDispose]();
      await broker?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });

    /** Status and detail of the checks of the broker, by name. */
    const look = async (url: string, ...flags: string[]) => {
      // No agent runs there: the broker can be looked at before the first deploy.
      const device = `ssh://${sshd.user}@127.0.0.1:${sshd.port}/nowhere.sock`;
      const args = ['doctor', '--json', '--no-touch', '--device', device, '--fleet', url, ...flags];
      const { stdout } = await cli(args, { home: sshd.home });
      const { checks } = JSON.parse(stdout) as { checks: readonly CheckReport[] };
      return Object.fromEntries(
        checks
          .filter(({ group }) => group === 'fleet')
          .map(({ name, status, detail }) => [name, { status, detail }]),
      );
    };

    it('has it reached, of a version that will do, with the pinned certificate and a clock that fits', async () => {
      const found = await look(broker.url, '--fleet-fingerprint', pin);
      expect(Object.values(found).map(({ status }) => status)).toEqual(Array(7).fill('pass'));
      expect(found.broker?.detail).toMatch(/^127\.0\.0\.1:\d+ greets the board/);
      expect(found['broker version']?.detail).toMatch(/^nats-server \d+\.\d+\.\d+/);
    });

    it('tells another certificate from the pinned one, and one that nobody pinned', async () => {
      const other = await look(broker.url, '--fleet-fingerprint', 'AB'.repeat(32));
      expect(other['broker certificate']).toEqual({ status: 'fail', detail: expect.stringContaining(pin) });
      const none = await look(broker.url);
      expect(none['broker certificate']).toEqual({ status: 'warn', detail: expect.stringContaining(pin) });
    });

    it('says that nobody listens there', async () => {
      const found = await look('nats://127.0.0.1:1');
      expect(found.broker).toMatchObject({ status: 'fail' });
      expect(found.JetStream).toMatchObject({ status: 'skip' });
    });
  },
);
