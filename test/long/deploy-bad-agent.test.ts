import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deployer, openSsh } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { DeployFolder } from '../system/support/deploy-folder.js';
import { noSshd, startSshd, type TestSshd } from '../system/support/sshd.js';

const DIES_LATER = `
import { Server } from 'node:net';
const { emit } = Server.prototype;
Server.prototype.emit = function (name, ...args) {
  if (name === 'connection') setTimeout(() => process.exit(1), 3_000);
  return emit.call(this, name, ...args);
};
`;

describe.skipIf(noSshd !== undefined)(`a release${noSshd === undefined ? '' : ` (${noSshd})`}`, () => {
  const directory = temporaryDirectory();
  const { HOME } = process.env;
  let sshd: TestSshd;
  let folder: DeployFolder;
  let good: string;

  beforeAll(async () => {
    sshd = await startSshd();
    process.env.HOME = sshd.home;
    writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), sshd.knownHostsLine);
    folder = new DeployFolder();
    good = (await deploy(undefined)).release;
  });
  afterAll(async () => {
    process.env.HOME = HOME;
    await sshd?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
    directory[Symbol.dispose]();
  });

  async function deploy(bundle: string | undefined, healthMs?: number) {
    await using connection = await openSsh({ host: '127.0.0.1', port: sshd.port, user: sshd.user });
    const deployer = await Deployer.open(connection, { withoutSystemd: folder.path });
    return await deployer.deploy({ device: 'mock:', bundle, healthMs });
  }

  // An agent that cannot pass is given little time; one that could, if it lived, all it needs.
  it.each([
    ['dies at every start', 'process.exit(1);\n', 3_000],
    ['starts and never answers', 'setInterval(() => {}, 1_000);\n', 3_000],
    ['answers, and dies three seconds later', undefined, undefined],
  ])('whose agent %s is followed by the one before', async (name, program, healthMs) => {
    const bundle = join(directory.path, name.replaceAll(' ', '-').replace(',', ''));
    cpSync('dist/bundle', bundle, { recursive: true });
    const main = join(bundle, 'agent', 'main.mjs');
    writeFileSync(main, program ?? `${DIES_LATER}${readFileSync(main, 'utf8')}`);
    await expect(deploy(bundle, healthMs)).rejects.toMatchObject({
      code: 'DEPLOY_UNHEALTHY',
      message: expect.stringContaining(`The release ${good.slice(0, 12)} is back`),
    });
    expect(await folder.settled()).toBe(good);
  });
});
