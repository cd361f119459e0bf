import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Switch } from '../../sdk/deploy/board-state.js';
import { plain, plainLayout } from '../../sdk/deploy/plain.js';
import { RootShell } from '../../sdk/deploy/root-shell.js';
import { Deployer, openSsh } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { type Cut, CuttingHost } from '../system/support/cutting-host.js';
import { DeployFolder } from '../system/support/deploy-folder.js';
import { noSshd, startSshd, type TestSshd } from '../system/support/sshd.js';

const title = (text: string) => `${text}${noSshd === undefined ? '' : ` (${noSshd})`}`;
const LANES = 3;
const ALL_CUTS_MS = 500_000;

describe.skipIf(noSshd !== undefined)(title('a deploy that is cut off'), () => {
  const directory = temporaryDirectory();
  /** Two releases that differ in the agent's code. */
  const bundles = ['one', 'two'].map((name) => join(directory.path, name));
  const { HOME } = process.env;
  let sshd: TestSshd;
  /** Has a release with the same Node: what boards have that were deployed to before. */
  let template: DeployFolder;

  beforeAll(async () => {
    for (const bundle of bundles) {
      cpSync('dist/bundle', bundle, { recursive: true });
      appendFileSync(join(bundle, 'agent', 'main.mjs'), `\n// ${bundle}\n`);
    }
    sshd = await startSshd();
    process.env.HOME = sshd.home;
    writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), sshd.knownHostsLine);
    template = new DeployFolder();
    await deploy(template, bundles[0]);
  });
  afterAll(async () => {
    process.env.HOME = HOME;
    await sshd?.[Symbol.asyncDispose]();
    template?.[Symbol.dispose]();
    directory[Symbol.dispose]();
  });

  /** A folder whose board has files of an earlier release, and runs nothing. */
  function usedFolder(): DeployFolder {
    const folder = new DeployFolder();
    mkdirSync(join(folder.path, 'agent'));
    const releases = join('agent', 'releases');
    execFileSync('cp', ['-al', join(template.path, releases), join(folder.path, releases)]);
    return folder;
  }

  const login = () => openSsh({ host: '127.0.0.1', port: sshd.port, user: sshd.user });

  /** A whole deploy, not cut. */
  async function deploy(folder: DeployFolder, bundle: string) {
    await using connection = await login();
    const deployer = await Deployer.open(connection, { withoutSystemd: folder.path });
    return await deployer.deploy({ device: 'mock:', bundle, staysMs: 0 });
  }

  async function removeOthers(folder: DeployFolder) {
    await using connection = await login();
    const deployer = await Deployer.open(connection, { withoutSystemd: folder.path });
    for (const { digest, active } of await deployer.list()) if (!active) await deployer.remove(digest);
  }

  /** What a deploy asks the board for that replaces a release by another one. */
  async function countOperations(): Promise<CuttingHost> {
    using folder = usedFolder();
    await deploy(folder, bundles[0]);
    await removeOthers(folder);
    await using connection = await login();
    const host = new CuttingHost(connection, undefined);
    const deployer = await Deployer.open(host, { withoutSystemd: folder.path });
    await deployer.deploy({ device: 'mock:', bundle: bundles[1], staysMs: 0 });
    return host;
  }

  /** A deploy that is cut off. @returns the operation that it was cut at */
  async function cutDeploy(folder: DeployFolder, bundle: string, cut: Cut): Promise<string> {
    const connection = await login();
    const host = new CuttingHost(connection, cut);
    const outcome = Deployer.open(host, { withoutSystemd: folder.path }).then((deployer) =>
      deployer.deploy({ device: 'mock:', bundle, staysMs: 0 }),
    );
    try {
      await expect(outcome).rejects.toMatchObject({ code: 'SSH_CONNECTION_LOST' });
      return host.operations.at(-1) ?? '';
    } finally {
      await connection.close();
    }
  }

  it(
    'at any operation leaves the old or the new release running, and the next deploy succeeds',
    async () => {
      const { operations } = await countOperations();
      // What only reads leaves the board as the operation before it did.
      const firstChange = operations.findIndex((name) => name.startsWith('upload'));
      const cuts = operations.flatMap((_, index): Cut[] =>
        index < firstChange
          ? [{ operation: index + 1, when: 'during' }]
          : [
              { operation: index + 1, when: 'before' },
              { operation: index + 1, when: 'during' },
            ],
      );
      const wereCut: string[] = [];
      const lane = async () => {
        using folder = usedFolder();
        let [next, other] = bundles;
        let old = (await deploy(folder, other)).release;
        for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) {
          const name = await cutDeploy(folder, next, cut);
          const now = await folder.settled();
          const { release } = await deploy(folder, next);
          expect([old, release], `what runs after a cut ${cut.when} "${name}"`).toContain(now);
          expect(await folder.settled()).toBe(release);
          await removeOthers(folder);
          wereCut.push(name);
          old = release;
          [next, other] = [other, next];
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      for (const part of [
        /uname/,
        /install -d/,
        /wc -c/,
        /^upload/,
        /sha256sum --check/,
        / activate /,
        / status$/,
        /^forward/,
        / confirm /,
      ])
        expect(wereCut).toContainEqual(expect.stringMatching(part));
    },
    ALL_CUTS_MS,
  );

  it('is finished by the next, which sends only the rest', async () => {
    using folder = new DeployFolder();
    const [bundle] = bundles;
    const connection = await login();
    const deployer = await Deployer.open(connection, { withoutSystemd: folder.path });
    let sent = 0;
    const cut = deployer.deploy({
      device: 'mock:',
      bundle,
      onStep: (progress) => {
        if (progress.step !== 'send') return;
        sent = progress.bytes;
        if (sent > progress.totalBytes / 2) connection.destroy();
      },
    });
    await expect(cut).rejects.toMatchObject({ code: 'SSH_CONNECTION_LOST' });
    expect(folder.running).toEqual([]);
    const { release, sentBytes } = await deploy(folder, bundle);
    expect(await folder.settled()).toBe(release);
    // What was under way when the connection broke is lost.
    expect(sentBytes).toBeLessThan(sent * 1.2);
  });

  describe('after activating', () => {
    let folder: DeployFolder;
    let releases: string[];

    beforeAll(async () => {
      folder = usedFolder();
      releases = [];
      for (const bundle of bundles) releases.push((await deploy(folder, bundle)).release);
    });
    afterAll(() => folder?.[Symbol.dispose]());

    const boardOf = (connection: Awaited<ReturnType<typeof login>>) =>
      new Switch(new RootShell(connection, { kind: 'direct' }), plain, plainLayout(folder.path));

    it('is undone by the board itself when its time is up', async () => {
      const [former, active] = releases;
      const connection = await login();
      const board = boardOf(connection);
      await board.activate(former, 'a-token', 20);
      expect(await folder.settled()).toBe(former);
      connection.destroy();
      await expect.poll(() => folder.current, { timeout: 60_000 }).toBe(active);
      expect(await folder.settled()).toBe(active);
    });

    it('is kept when it was confirmed in time', async () => {
      const [former, active] = releases;
      await using connection = await login();
      const board = boardOf(connection);
      await board.activate(former, 'another-token', 60);
      expect(await board.confirm('a-token')).toBe(false);
      expect(await board.confirm('another-token')).toBe(true);
      // What the board does when the time is up.
      await board.revert('another-token');
      expect(await folder.settled()).toBe(former);
      await board.activate(active, 'third', 60);
      await board.confirm('third');
    });

    it('is undone at the next boot of the board', async () => {
      const [former, active] = releases;
      await using connection = await login();
      const board = boardOf(connection);
      await board.activate(former, 'token', 60);
      const recover = () => connection.exec(`sh ${folder.path}/agent/current/system/switch.sh recover`);
      // The same boot: a service that restarts meanwhile is no reason to go back.
      expect(await recover()).toMatchObject({ status: 0 });
      expect(await folder.settled()).toBe(former);
      const file = join(folder.path, 'agent', 'pending');
      const [token, , old] = readFileSync(file, 'utf8').split('\n');
      writeFileSync(file, `${token}\nanother-boot\n${old}\n`);
      expect(await recover()).toMatchObject({ status: 0 });
      expect(await folder.settled()).toBe(active);
    });
  });
});
