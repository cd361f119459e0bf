import { connect, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { BROKER_CHECKS } from '../../../../sdk/doctor/broker.js';
import type { Finding } from '../../../../sdk/doctor/check.js';
import { DoctorSession } from '../../../../sdk/doctor/session.js';
import { type BoardTreeOptions, boardTree, Z1 } from './board-tree.js';

const OPTIONS = {
  version: '0.1.0',
  vectors: 'vectors',
  model: 'models/tiny-stories-Q3_K_M.gguf',
  touch: true,
  signal: new AbortController().signal,
};
const LAPTOP = { nodeVersion: '20.11.0', home: '/', sshAgentSocket: undefined };
const FLEET_FILE = '/opt/pynq-llm/current/design/fleet.env';
const FLAGS = '--fleet nats://broker.example:4222 --fleet-name z1 --fleet-creds /var/lib/pynq-llm/fleet.nk';
const GOOD = {
  version: '2.9.10',
  jetstream: true,
  headers: true,
  max_payload: 1_048_576,
  auth_required: true,
};

/** Findings of every check of the broker that greets so, by name. */
async function examineBroker(
  greeting: string,
  flags = FLAGS,
  more: Partial<BoardTreeOptions> = {},
): Promise<Record<string, Finding>> {
  const port = await listening(greeting);
  const files = flags === '' ? Z1.files : { ...Z1.files, [FLEET_FILE]: `PYNQ_LLM_FLEET_FLAGS="${flags}"\n` };
  const asked: string[] = [];
  const forwardToHost = async (host: string, asks: number) => {
    asked.push(`${host}:${asks}`);
    return connect(port, '127.0.0.1');
  };
  using tree = boardTree({ ...Z1, files, forwardToHost, ...more });
  const session = new DoctorSession({ kind: 'ssh', url: 'ssh://xilinx@pynq' }, LAPTOP, OPTIONS);
  session.ssh = tree.login;
  const findings: Record<string, Finding> = {};
  for (const { name, run } of BROKER_CHECKS) {
    const finding = await run(session);
    if (finding) findings[name] = finding;
  }
  // It is looked at once for all checks, where the board's release says.
  if (more.forwardToHost === undefined) expect(asked).toEqual(flags === '' ? [] : ['broker.example:4222']);
  return findings;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
async function listening(greeting: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(greeting);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a port');
  return address.port;
}
const info = (more: object = {}) => `INFO ${JSON.stringify({ ...GOOD, ...more })} \r\n`;
const statuses = (findings: Record<string, Finding>) =>
  Object.fromEntries(Object.entries(findings).map(([name, { status }]) => [name, status]));

describe("the doctor's look at a fleet's broker", () => {
  it('says nothing of a board that is of no fleet', async () => {
    expect(await examineBroker(info(), '')).toEqual({});
  });

  it('passes one that has what is needed, and warns where nothing is encrypted', async () => {
    const findings = await examineBroker(info());
    expect(statuses(findings)).toEqual({
      broker: 'pass',
      'broker version': 'pass',
      JetStream: 'pass',
      'largest message': 'pass',
      'broker certificate': 'warn',
      "board's clock for it": 'skip',
      keys: 'pass',
    });
    expect(findings['broker certificate']?.fix).toContain('--fleet-fingerprint');
  });

  it('names what is too old, off or too small, each with what to do', async () => {
    const findings = await examineBroker(
      info({ version: '2.9.9', jetstream: false, max_payload: 65_536, auth_required: undefined }),
    );
    expect(statuses(findings)).toMatchObject({
      'broker version': 'fail',
      JetStream: 'fail',
      'largest message': 'fail',
      keys: 'warn',
    });
    expect(findings['broker version']?.fix).toContain('2.9.10');
    expect(findings.JetStream?.fix).toContain('jetstream {');
    for (const version of ['2.10.0', '2.11.4', '3.0.0'])
      expect((await examineBroker(info({ version })))['broker version']?.status).toBe('pass');
  });

  it('fails where a pin or tls:// meets a broker without TLS', async () => {
    const pinned = `${FLAGS} --fleet-fingerprint ${'AB'.repeat(32)}`;
    expect((await examineBroker(info(), pinned))['broker certificate']?.status).toBe('fail');
    const tls = await examineBroker(info(), FLAGS.replace('nats:', 'tls:'));
    expect(tls['broker certificate']?.status).toBe('fail');
  });

  it('fails where nobody listens, or something else, and leaves out the rest', async () => {
    for (const findings of [
      await examineBroker('SSH-2.0-OpenSSH_9.2\r\n'),
      await examineBroker('INFO {"version":7}\r\n'),
      await examineBroker('INFO nothing\r\n'),
      await examineBroker(info(), FLAGS, {
        forwardToHost: () => Promise.reject(new Error('connect ECONNREFUSED')),
      }),
    ]) {
      expect(findings.broker).toMatchObject({ status: 'fail', fix: expect.stringContaining('0.0.0.0:4222') });
      expect(findings.JetStream).toMatchObject({ status: 'skip' });
    }
  });
});
