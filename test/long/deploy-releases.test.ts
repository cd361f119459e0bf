import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeployResult, InstalledRelease } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import type { DeployFolder } from '../system/support/deploy-folder.js';
import { SshBoard } from '../system/support/ssh-board.js';
import { noSshd, type TestSshd } from '../system/support/sshd.js';

const title = (text: string) => `${text}${noSshd === undefined ? '' : ` (${noSshd})`}`;

describe.skipIf(noSshd !== undefined)(title('two releases on a board'), () => {
  let at: SshBoard;
  let sshd: TestSshd;
  let folder: DeployFolder;
  let first: DeployResult;

  beforeAll(async () => {
    at = await SshBoard.start();
    ({ sshd, folder } = at);
    first = JSON.parse((await deploy('--host-key', sshd.fingerprint, '--json')).stdout);
    expect(await deploy('--board', 'pynq-z2', '--agent-device', 'mock:pynq-z2')).toMatchObject({ status: 0 });
  });
  afterAll(async () => {
    await at?.[Symbol.asyncDispose]();
  });

  const deploy = (...args: string[]) => at.deploy(...args);
  const listed = async (): Promise<InstalledRelease[]> =>
    JSON.parse((await deploy('--list', '--json')).stdout);

  it('a release that computes wrong does not stay: the one before is back', async () => {
    const before = await folder.settled();
    const { status, stderr } = await deploy('--agent-device', 'mock:?fault=dma-decode-error:0:1000000');
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('DEPLOY_UNHEALTHY') });
    expect(stderr).toContain(`The release ${before.slice(0, 12)} is back.`);
    expect(await folder.settled()).toBe(before);
  });

  it('a release whose device cannot be opened does not stay either', async () => {
    const before = await folder.settled();
    const { status, stderr } = await deploy('--agent-device', 'mock:/no/board.toml', '--deadline', '60');
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('DEPLOY_UNHEALTHY') });
    expect(stderr).toContain('/no/board.toml');
    expect(await folder.settled()).toBe(before);
  });

  it('--rollback runs the release before, and back again', async () => {
    const before = await folder.settled();
    const { status, stdout } = await deploy('--rollback');
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^[0-9a-f]{12} .* runs again\n$/),
    });
    expect(await folder.settled()).toBe(first.release);
    await deploy('--rollback');
    expect(await folder.settled()).toBe(before);
  });

  it('--remove takes releases that are not in use, by their first digits', async () => {
    const active = await folder.settled();
    const inUse = await deploy('--remove', active.slice(0, 10));
    expect(inUse).toMatchObject({ status: 1, stderr: expect.stringContaining('DEPLOY_RELEASE_IN_USE') });
    const unknown = await deploy('--remove', 'x');
    expect(unknown).toMatchObject({ status: 1, stderr: expect.stringContaining('DEPLOY_NO_RELEASE') });
    for (const { digest } of (await listed()).filter((release) => !release.active))
      expect(await deploy('--remove', digest.slice(0, 10))).toMatchObject({ status: 0 });
    expect((await listed()).map(({ digest }) => digest)).toEqual([active]);
    expect(await deploy('--rollback')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('DEPLOY_NO_RELEASE'),
    });
  });

  it('--node puts a verified archive there, which no later deploy takes away unasked', async () => {
    using made = temporaryDirectory();
    const name = 'node-v99.0.0-linux-x64';
    const path = join(made.path, `${name}.tar.gz`);
    mkdirSync(join(made.path, name, 'bin'), { recursive: true });
    copyFileSync(process.execPath, join(made.path, name, 'bin', 'node'));
    execFileSync('tar', ['-C', made.path, '-I', 'gzip -1', '-cf', path, name]);
    const before = await folder.settled();
    const unverified = await deploy('--node', path);
    expect(unverified).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('DEPLOY_NODE_UNVERIFIED'),
    });
    expect(await folder.settled()).toBe(before);
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(await deploy('--node', path, '--sha256', sha256)).toMatchObject({ status: 0 });
    expect((await listed())[0]).toMatchObject({ active: true, running: true, node: '99.0.0' });
    const without = await deploy();
    expect(without).toMatchObject({ status: 1, stderr: expect.stringContaining('DEPLOY_NODE_OLDER') });
    expect(await deploy('--node', 'npm')).toMatchObject({ status: 0 });
    expect((await listed())[0]).toMatchObject({ active: true, node: process.versions.node });
  });
});
