import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { connectNats, createKey } from '../../bus/index.js';
import { serveFleet, writeUsers } from '../../fleet/index.js';
import { silentLog } from '../../listen/index.js';
import { type BoardClient, connect } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { noNatsServer, TestNatsServer } from '../system/support/nats-server.js';
import { SshBoard } from '../system/support/ssh-board.js';
import { noSshd } from '../system/support/sshd.js';

const missing = noSshd ?? noNatsServer;
const WAIT = { timeout: 60_000, interval: 100 };

const title = `deploy to a fleet, over a real OpenSSH server${missing ? ` (${missing})` : ''}`;

describe.skipIf(missing)(title, () => {
  const home = temporaryDirectory();
  const file = (name: string) => join(home.path, name);
  let at: SshBoard;
  let broker: TestNatsServer;
  let gateway: AgentHandle;
  let client: BoardClient | undefined;
  let key: string;

  const seed = () => join(at.folder.path, 'state', 'fleet.nk');
  /** A gateway without a board answers nobody who comes. */
  const boards = async () => {
    client ??= await connect(gateway.url);
    const { boards: all } = await client.fleetStatus();
    return all.map(({ name, title: is }) => `${name} ${is.split(',')[0]}`);
  };
  const joined = (...expected: string[]) =>
    vi.waitFor(async () => expect(await boards()).toEqual(expected), WAIT);
  const ends = async (run: Promise<{ status: number | null; stdout: string; stderr: string }>) => {
    const { status, stdout, stderr } = await run;
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  };

  beforeAll(async () => {
    const own = await createKey(file('gateway.nk'));
    writeFileSync(file('users.conf'), writeUsers([{ kind: 'gateway', name: 'gateway', publicKey: own }]));
    broker = await TestNatsServer.start(
      `pid_file: ${JSON.stringify(file('nats.pid'))}\ninclude "../${basename(home.path)}/users.conf"`,
    );
    // The machine of the broker has this program, too.
    mkdirSync(file('bin'));
    const program = `#!/bin/sh\nexec ${process.execPath} ${resolve('dist/cli/main.js')} "$@" --users ${file('users.conf')} --pid-file ${file('nats.pid')}\n`;
    writeFileSync(file('bin/pynq-llm'), program);
    chmodSync(file('bin/pynq-llm'), 0o755);
    at = await SshBoard.start([`SetEnv PATH=${file('bin')}:${process.env.PATH}`]);
    gateway = await serveFleet({
      bus: () => connectNats({ url: broker.url, credentials: file('gateway.nk'), inbox: 'gateway' }),
      listen: '127.0.0.1:0',
      storeDir: file('store'),
      log: silentLog,
    });
  });
  afterAll(async () => {
    await at?.[Symbol.asyncDispose]();
    await client?.close();
    await gateway?.close();
    await broker?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('needs a name that a fleet takes, and the broker beside what is said of it', async () => {
    for (const flags of [
      ['--fleet', broker.url],
      ['--fleet-name', 'shelf-1'],
    ])
      expect(await at.deploy('--host-key', at.sshd.fingerprint, ...flags)).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('--fleet'),
      });
  });

  it('makes the key on the board, has the broker know it, and starts the agent as a member', async () => {
    const fleet = ['--fleet', broker.url, '--fleet-name', 'shelf-1', '--fleet-broker', at.target];
    const stdout = await ends(at.deploy('--host-key', at.sshd.fingerprint, ...fleet, '--json'));
    ({ fleetKey: key } = JSON.parse(stdout));
    expect(key).toMatch(/^U[A-Z2-7]{55}$/);
    expect(statSync(seed()).mode & 0o777).toBe(0o600);
    expect(readFileSync(seed(), 'utf8')).toMatch(/^SU/);
    expect(stdout).not.toContain(readFileSync(seed(), 'utf8').trim());
    expect(readFileSync(file('users.conf'), 'utf8')).toContain(`#@ board shelf-1 ${key}\n`);
    await joined('shelf-1 PYNQ-Z1');
  });

  it('does so once: the key stays, and the board is enrolled already', async () => {
    const users = readFileSync(file('users.conf'), 'utf8');
    const list = ['--fleet-users', file('users.conf'), '--fleet-pid-file', file('nats.pid')];
    const stdout = await ends(at.deploy('--fleet', broker.url, '--fleet-name', 'shelf-1', ...list));
    expect(stdout).toMatch(/nothing was changed/);
    expect(stdout).toContain(`shelf-1 at ${broker.url}\n`);
    expect(readFileSync(file('users.conf'), 'utf8')).toBe(users);
  });

  it('is kept by an upgrade that says nothing of it, and by a rollback, with the same key', async () => {
    const before = readFileSync(seed(), 'utf8');
    await ends(at.deploy('--board', 'pynq-z2', '--agent-device', 'mock:pynq-z2'));
    await joined('shelf-1 PYNQ-Z2');
    await ends(at.deploy('--rollback'));
    await joined('shelf-1 PYNQ-Z1');
    expect(readFileSync(seed(), 'utf8')).toBe(before);
  });

  it('is refused, and the board keeps its agent, where another key has the name', async () => {
    const running = await at.folder.settled();
    writeFileSync(
      file('users.conf'),
      readFileSync(file('users.conf'), 'utf8').replaceAll('board shelf-1 ', 'board shelf-9 '),
    );
    const list = ['--fleet-users', file('users.conf'), '--fleet-pid-file', file('nats.pid')];
    const fleet = ['--fleet', `${broker.url.replace('nats:', 'tls:')}`, '--fleet-name', 'shelf-2', ...list];
    expect(await at.deploy(...fleet)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('FLEET_ENROLLED'),
    });
    expect(await at.folder.settled()).toBe(running);
  });

  it('ends with --no-fleet; without a list here it says what is to be done', async () => {
    await ends(at.deploy('--no-fleet'));
    await joined();
    const stdout = await ends(at.deploy('--fleet', broker.url, '--fleet-name', 'shelf-3'));
    expect(stdout).toContain(`pynq-llm fleet enrol shelf-3 ${key}`);
  });
});
