import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connectNats, createKey } from '../../../bus/index.js';
import { writeUsers } from '../../../fleet/index.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

const document = readFileSync('docs/fleet.md', 'utf8');

describe.skipIf(noNatsServer)(`docs/fleet.md${noNatsServer ? `: ${noNatsServer}` : ''}`, () => {
  it('has a configuration and a certificate that work', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleet-doc-'));
    try {
      const command = /^ {4}sudo (openssl req .+)$/m.exec(document)![1]!.replaceAll('/etc/nats', folder);
      execFileSync('sh', ['-c', command], { stdio: 'pipe' });
      const key = join(folder, 'gateway.nk');
      const config = /```conf\n(.+?)```/s
        .exec(document)![1]!
        .replace('nats/fleet-users.conf', `../${basename(folder)}/fleet-users.conf`)
        .replaceAll('/etc/nats', folder)
        .replace('/var/lib/nats', join(folder, 'store'))
        .replace(/^listen:.+$/m, '');
      expect(config).toContain(folder);
      const gateway = { kind: 'gateway', name: 'gateway', publicKey: await createKey(key) } as const;
      writeFileSync(join(folder, 'fleet-users.conf'), writeUsers([gateway]));
      await using server = await TestNatsServer.start(config, false);
      const fingerprint = new X509Certificate(readFileSync(join(folder, 'broker.pem'))).fingerprint256;
      const bus = await connectNats({ url: server.url, credentials: key, fingerprint });
      try {
        const limits = { maxAgeMs: 3_600_000, maxBytes: 1 << 30, duplicateWindowMs: 120_000 };
        await bus.declareQueue({ name: 'F_work', ...limits, ackWaitMs: 10_000, maxDeliveries: 3 });
        await bus.declareLog({ name: 'F_log', ...limits });
        await bus.declareBucket({ name: 'F_boards', maxBytes: 1 << 20 });
        expect((await bus.log('F_log').append('a', '1', new Uint8Array(524_288))).sequence).toBe(1);
      } finally {
        await bus.close();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
