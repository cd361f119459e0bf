import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Layout } from '../../sdk/deploy/layout.js';
import { plain, plainLayout } from '../../sdk/deploy/plain.js';
import type { Platform } from '../../sdk/deploy/platforms.js';
import { prepareBoard } from '../../sdk/deploy/prepare-board.js';
import { buildRelease, type Release, type ReleaseFile } from '../../sdk/deploy/release.js';
import { RootShell } from '../../sdk/deploy/root-shell.js';
import { sendRelease, takeInventory } from '../../sdk/deploy/send-release.js';
import { switchScript } from '../../sdk/deploy/switch-script.js';
import { openSsh } from '../../sdk/index.js';
import type { RemoteHost, SshConnection } from '../../sdk/ssh/index.js';
import { DeployFolder } from '../system/support/deploy-folder.js';
import { noPrivateMounts, noSshd, startSshd, type TestSshd } from '../system/support/sshd.js';

const noOpenssl =
  spawnSync('openssl', ['version']).error === undefined ? undefined : 'openssl is not installed';
const missing = noSshd ?? noPrivateMounts ?? noOpenssl;
const PASSWORD = 'a password for a test';
/** Who logs in, as a domain's users are named, and is not root. */
const VISITOR = { name: String.raw`LAB\o'ne $x%u`, uid: 4321 };
const SECRET = 'only root may read this';
const TARGET = 'agent/main.mjs';

/**
 * Processes of who logs in, against a deploy that becomes root. Both are logins of a real server, which sees users of
 * its own.
 */
describe.skipIf(missing !== undefined)(`root's part of a deploy${missing ? ` (${missing})` : ''}`, () => {
  const { HOME } = process.env;
  let server: DeployFolder;
  let sshd: TestSshd;
  let visitor: SshConnection;
  let rootLogin: SshConnection;
  let root: RootShell;

  let folder: DeployFolder;
  let layout: Layout;
  let release: Release;
  /** The file that is attacked, where it waits, and root's own that nothing may touch. */
  let target: ReleaseFile;
  let waiting: string;
  let secret: string;

  beforeAll(async () => {
    server = new DeployFolder();
    const hash = execFileSync('openssl', ['passwd', '-6', PASSWORD], { encoding: 'utf8' }).trim();
    const files: Record<string, string> = {
      shadow: ['root', VISITOR.name].map((name) => `${name}:${hash}:19000:0:99999:7:::\n`).join(''),
      passwd: `${VISITOR.name}:x:${VISITOR.uid}:${VISITOR.uid}::/:/bin/sh\n`,
    };
    for (const [name, lines] of Object.entries(files))
      writeFileSync(join(server.path, name), `${lines}${readFileSync(`/etc/${name}`, 'utf8')}`);
    sshd = await startSshd(
      ['UsePAM no', 'PasswordAuthentication yes', 'PubkeyAuthentication no'],
      `mount --make-rprivate /\n${Object.keys(files)
        .map((name) => `mount --bind ${server.path}/${name} /etc/${name}`)
        .join('\n')}`,
    );
    process.env.HOME = sshd.home;
    writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), sshd.knownHostsLine);
    const login = (user: string) =>
      openSsh({ host: '127.0.0.1', port: sshd.port, user }, { password: PASSWORD });
    visitor = await login(VISITOR.name);
    rootLogin = await login('root');
    root = new RootShell(rootLogin, { kind: 'direct' });
  });
  afterAll(async () => {
    process.env.HOME = HOME;
    await visitor?.close();
    await rootLogin?.close();
    await sshd?.[Symbol.asyncDispose]();
    server?.[Symbol.dispose]();
  });

  beforeEach(async () => {
    folder = new DeployFolder();
    chmodSync(folder.path, 0o755);
    layout = plainLayout(join(folder.path, 'board'));
    release = await smallRelease(join(folder.path, 'parts'));
    target = release.files.find(({ path }) => path === TARGET) ?? expect.fail('the release has it');
    waiting = join(layout.base, 'incoming', target.sha256);
    secret = join(folder.path, 'secret');
    writeFileSync(secret, SECRET, { mode: 0o600 });
  });
  afterEach(() => folder[Symbol.dispose]());

  /** Sends the release; `attack` is the visitor's, when all has arrived and root is about to take it. */
  async function send(attack: () => Promise<unknown>, host: RemoteHost = visitor): Promise<void> {
    await prepareBoard(root, plain, layout, VISITOR.uid);
    const inventory = await takeInventory(host, layout);
    const attacked = new RootShell(
      {
        ...noFiles,
        exec: async (command, options) => {
          await attack();
          return rootLogin.exec(command, options);
        },
      },
      { kind: 'direct' },
    );
    await sendRelease(host, attacked, layout, release, inventory, () => {});
  }
  const asVisitor = async (command: string) => {
    const { status, stderr } = await visitor.exec(command);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  };

  /** The release is there with exactly what was announced, in files that only root can change. */
  function expectWhole(): void {
    const place = join(layout.base, 'releases', release.digest);
    const found = readdirSync(place, { recursive: true, encoding: 'utf8' })
      .map((path) => ({ path, file: lstatSync(join(place, path)) }))
      .filter(({ file }) => !file.isDirectory());
    expect(found.map(({ path }) => path).toSorted()).toEqual(
      [...release.files.map(({ path }) => path), 'MANIFEST'].toSorted(),
    );
    for (const { file } of found) {
      expect(file.isFile()).toBe(true);
      expect({ uid: file.uid, links: file.nlink, open: file.mode & 0o022 }).toEqual({
        uid: 0,
        links: 1,
        open: 0,
      });
    }
    for (const { path, sha256, mode } of release.files) {
      expect(
        createHash('sha256')
          .update(readFileSync(join(place, path)))
          .digest('hex'),
      ).toBe(sha256);
      expect((statSync(join(place, path)).mode & 0o777).toString(8)).toBe(mode);
    }
  }
  async function expectRefused(sending: Promise<void>): Promise<void> {
    await expect(sending).rejects.toMatchObject({
      code: 'DEPLOY_TRANSFER',
      message: expect.stringContaining(TARGET),
    });
    expect(readdirSync(join(layout.base, 'releases'))).toEqual([]);
  }
  function expectUntouched(content = SECRET): void {
    const { mode, uid, gid, nlink } = statSync(secret);
    expect({ mode: mode & 0o777, uid, gid, nlink }).toMatchObject({ mode: 0o600, uid: 0, gid: 0 });
    expect(readFileSync(secret, 'utf8') === content).toBe(true);
  }

  it('takes what a user of any name has sent', async () => {
    expect((await visitor.exec('id -un')).stdout.trim()).toBe(VISITOR.name);
    await send(async () => {});
    expectWhole();
    expect(existsSync(join(layout.base, 'incoming'))).toBe(false);
  });

  it("does not follow a link to root's own file", async () => {
    await expectRefused(send(() => asVisitor(`ln -sf ${secret} ${waiting}`)));
    expectUntouched();
  });

  it('does not take a link to a file with the right bytes, which the user could change later', async () => {
    const own = join('/tmp', `${release.digest}.own`);
    try {
      await expectRefused(send(() => asVisitor(`mv ${waiting} ${own}; ln -s ${own} ${waiting}`)));
    } finally {
      rmSync(own, { force: true });
    }
  });

  it("leaves root's own file as it is that a hard link with its bytes leads to", async () => {
    const { from } = target;
    writeFileSync(secret, readFileSync(String(from)));
    // What a kernel without protected_hardlinks lets any user do.
    await send(async () => void execFileSync('ln', ['-f', secret, waiting]));
    expectWhole();
    expectUntouched(readFileSync(String(from), 'utf8'));
  });

  it.each([
    ['a pipe that nobody writes to', 'mkfifo WAITING'],
    [
      'a pipe that somebody holds open and writes nothing to',
      'mkfifo WAITING; (exec 3<>WAITING; read never <&3) >/dev/null 2>&1 & sleep 0.5',
    ],
    ['a folder', 'mkdir -p WAITING/a/b'],
    // To its own folder: code that followed it would change mode and owner of what it leads to.
    ['a link to a folder', 'ln -s . WAITING'],
    ['nothing', ':'],
  ])('refuses %s in the place of a file, at once', async (_, attack) => {
    await expectRefused(send(() => asVisitor(`rm ${waiting}; ${attack.replaceAll('WAITING', waiting)}`)));
  });

  it('refuses other bytes', async () => {
    await expectRefused(send(() => asVisitor(`echo evil >> ${waiting}.new; mv ${waiting}.new ${waiting}`)));
  });

  it('reads no more of a file than was announced', async () => {
    await send(() => asVisitor(`truncate -s 1T ${waiting}`));
    expectWhole();
  });

  it('has files that whoever still has the sent ones open cannot change', async () => {
    const signal = join('/tmp', release.digest);
    try {
      await send(() =>
        asVisitor(
          `(exec 3<>${waiting}; while [ ! -e ${signal}.go ]; do sleep 0.05; done; printf evil >&3; touch ${signal}.done) >/dev/null 2>&1 & sleep 0.5`,
        ),
      );
      await asVisitor(`touch ${signal}.go`);
      await expect.poll(() => existsSync(`${signal}.done`)).toBe(true);
      expectWhole();
    } finally {
      for (const name of ['go', 'done']) rmSync(`${signal}.${name}`, { force: true });
    }
  });

  it('brings nothing along that was not announced', async () => {
    await send(() =>
      asVisitor(`cd ${layout.base}/incoming; mkdir more; echo x > more/file; echo x > more.js`),
    );
    expectWhole();
  });

  it('ends with the release that was announced or with none, whatever changes meanwhile', async () => {
    await prepareBoard(root, plain, layout, VISITOR.uid);
    const stop = join('/tmp', `${release.digest}.stop`);
    await asVisitor(
      `(while [ ! -e ${stop} ]; do ln -sfn ${secret} ${waiting}; rm -f ${waiting}; cp ${target.from} ${waiting}; done; touch ${stop}ped) >/dev/null 2>&1 &`,
    );
    try {
      for (let round = 0; round < 4; round++) {
        const outcome = await send(async () => {}).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (outcome === undefined) {
          expectWhole();
          rmSync(join(layout.base, 'releases', release.digest), { recursive: true });
        } else
          expect(outcome).toMatchObject({
            code: expect.stringMatching(/DEPLOY_TRANSFER|SSH_COMMAND_FAILED/),
          });
        expectUntouched();
      }
    } finally {
      writeFileSync(stop, '');
      await expect.poll(() => existsSync(`${stop}ped`)).toBe(true);
      for (const file of [stop, `${stop}ped`]) rmSync(file);
    }
  });

  it('believes no list of installed files that leads out of the releases', async () => {
    const own = join('/tmp', `${release.digest}.own`);
    const lies: RemoteHost = {
      upload: visitor.upload.bind(visitor),
      forwardTo: visitor.forwardTo.bind(visitor),
      exec: async (command, options) => {
        const result = await visitor.exec(command, options);
        const up = '../'.repeat(20);
        const list = `in releases/${release.digest}\n${target.sha256}  ${up}${own}\n`;
        return command.includes('MANIFEST') ? { ...result, stdout: list } : result;
      },
    };
    try {
      await asVisitor(`cp ${target.from} ${own}`);
      mkdirSync(join(layout.base, 'releases', release.digest), { recursive: true });
      await send(async () => {}, lies);
      expectWhole();
    } finally {
      rmSync(own, { force: true });
    }
  });

  it('finds a link or a pipe in the way of a file before it is sent, and takes it away', async () => {
    await prepareBoard(root, plain, layout, VISITOR.uid);
    await asVisitor(`ln -s ${secret} ${waiting}; mkfifo ${waiting}0; mkdir ${waiting}1`);
    await send(async () => {});
    expectWhole();
    expectUntouched();
  });

  it("keeps its lock for itself, and its folders' places", async () => {
    await send(async () => {});
    await prepareBoard(root, plain, layout, VISITOR.uid);
    for (const command of [
      `flock ${layout.base}/lock true`,
      `mv ${layout.base}/incoming ${layout.base}/other`,
      `ln -s / ${layout.base}/releases/new`,
    ])
      expect(await visitor.exec(command)).toMatchObject({ status: expect.not.toBeOneOf([0]) });
  });

  it.each(['', 'agent'])("does not work below another user's folder (%s)", async (name) => {
    mkdirSync(join(folder.path, 'board', name), { recursive: true });
    chownSync(join(folder.path, 'board', name), VISITOR.uid, VISITOR.uid);
    await expect(send(async () => {})).rejects.toMatchObject({
      code: 'DEPLOY_UNSAFE_FOLDER',
      message: expect.stringContaining(join(folder.path, 'board', name)),
    });
  });

  describe("giving the agent's socket to its user", () => {
    const listen = (path: string) =>
      new Promise<AsyncDisposable>((resolve) => {
        const listener = createServer().listen(path, () =>
          resolve({ [Symbol.asyncDispose]: () => new Promise((done) => listener.close(() => done())) }),
        );
      });
    /** The agent is the visitor here: its folder is its own. */
    const open = async () => {
      mkdirSync(layout.base, { recursive: true });
      return rootLogin.exec(
        ['sh', '-c', switchScript(plain, layout), 'switch', 'open', `${VISITOR.uid}:0`].map(quote).join(' '),
      );
    };
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    beforeEach(() => {
      mkdirSync(layout.run, { recursive: true });
      chownSync(layout.run, 5432, 5432);
    });

    it('changes that socket', async () => {
      await using _ = await listen(join(layout.run, 'agent.sock'));
      expect(await open()).toMatchObject({ status: 0, stderr: '' });
      const { uid, gid, mode } = statSync(join(layout.run, 'agent.sock'));
      expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: VISITOR.uid, gid: 0, mode: 0o660 });
      expect(statSync(layout.run)).toMatchObject({ uid: 5432, gid: 5432 });
    });

    it.each([
      ['a link to another', 'symlink'],
      ['another one by a second name', 'link'],
    ] as const)('and not %s', async (_, kind) => {
      const other = join(folder.path, 'other.sock');
      await using _socket = await listen(other);
      chmodSync(other, 0o600);
      execFileSync('ln', [...(kind === 'symlink' ? ['-s'] : []), other, join(layout.run, 'agent.sock')]);
      expect(await open()).toMatchObject({ status: 1 });
      const { uid, mode } = statSync(other);
      expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 0, mode: 0o600 });
      expect(statSync(layout.run)).toMatchObject({ uid: 5432, gid: 5432 });
    });
  });
});

/** What root's shell has no need of. */
const noFiles: Pick<RemoteHost, 'upload' | 'forwardTo'> = {
  upload: () => Promise.reject(new Error('root sends no files')),
  forwardTo: () => Promise.reject(new Error('root opens no tunnels')),
};

/** A release of few bytes, made as every release is. */
function smallRelease(folder: string): Promise<Release> {
  const parts = {
    'node/bin/node': 'a program',
    'koffi/package.json': '{}',
    'bundle/package.json': '{"version":"9.8.7"}',
    'bundle/agent/main.mjs': `an agent\n${'x'.repeat(3_000_000)}`,
    'bundle/twin.mjs': 'the same',
    'bundle/boards/twin.mjs': 'the same',
  };
  for (const [path, text] of Object.entries(parts)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const platform: Platform = {
    machine: 'test',
    architecture: 'armv7',
    nodeVersion: '20.11.0',
    glibc: '2.28',
    kernel: '4.18',
    node: { from: join(folder, 'node'), file: 'bin/node' },
    koffi: { name: '@koromix/test', from: join(folder, 'koffi'), files: ['package.json'] },
  };
  return buildRelease(platform, join(folder, 'bundle'), { 'system/run.sh': 'exec' });
}
