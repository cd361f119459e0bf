import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deployer, openSsh, type SshPrompts } from '../../sdk/index.js';
import { DeployFolder } from '../system/support/deploy-folder.js';
import { noPrivateMounts, noSshd, startSshd, type TestSshd } from '../system/support/sshd.js';

const noOpenssl =
  spawnSync('openssl', ['version']).error === undefined ? undefined : 'openssl is not installed';
const missing = noSshd ?? noPrivateMounts ?? noOpenssl;
const PASSWORD = 'a password for a test';

/**
 * A board with a password and little storage. What the server sees of /etc and of the small folders is its own: this
 * machine is not changed.
 */
describe.skipIf(missing !== undefined)(`deploy${missing === undefined ? '' : ` (${missing})`}`, () => {
  const { HOME } = process.env;
  let folder: DeployFolder;
  let sshd: TestSshd;

  beforeAll(async () => {
    folder = new DeployFolder();
    for (const name of ['small', 'tight']) mkdirSync(join(folder.path, name));
    const hash = execFileSync('openssl', ['passwd', '-6', PASSWORD], { encoding: 'utf8' }).trim();
    const shadow = join(folder.path, 'shadow');
    writeFileSync(shadow, `root:${hash}:19000:0:99999:7:::\nsshd:!:19000::::::\n`, { mode: 0o600 });
    sshd = await startSshd(
      ['UsePAM no', 'PasswordAuthentication yes', 'PubkeyAuthentication no'],
      `mount --make-rprivate /
mount --bind ${shadow} /etc/shadow
mount -t tmpfs -o size=64m tmpfs ${folder.path}/small
mount -t tmpfs -o size=400m tmpfs ${folder.path}/tight`,
    );
    process.env.HOME = sshd.home;
  });
  afterAll(async () => {
    process.env.HOME = HOME;
    await sshd?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
  });

  /** A user who says yes to the host key, and gives passwords one after the other. */
  function answers(...passwords: string[]) {
    const asked: string[] = [];
    const prompts: SshPrompts = {
      confirmHostKey: async ({ fingerprint }) => {
        asked.push(fingerprint);
        return true;
      },
      secret: async (question) => {
        asked.push(question);
        return passwords.shift();
      },
    };
    return { asked, prompts };
  }
  const login = (prompts: SshPrompts) =>
    openSsh({ host: '127.0.0.1', port: sshd.port, user: sshd.user }, { prompts });

  it('shows the first host key and asks for it; a no ends it', async () => {
    const asked: string[] = [];
    const no: SshPrompts = {
      confirmHostKey: async ({ fingerprint }) => {
        asked.push(fingerprint);
        return false;
      },
      secret: async () => PASSWORD,
    };
    await expect(login(no)).rejects.toMatchObject({ code: 'SSH_HOST_KEY_UNKNOWN' });
    expect(asked).toEqual([sshd.fingerprint]);
    expect(existsSync(join(sshd.home, '.ssh', 'known_hosts'))).toBe(false);
  });

  it('works with a password, which is asked for until it is right and kept nowhere', async () => {
    const { asked, prompts } = answers('wrong', PASSWORD);
    const place = new DeployFolder(join(folder.path, 'by-password'));
    await using connection = await login(prompts);
    const question = `Password of ${sshd.user}@127.0.0.1`;
    expect(asked).toEqual([sshd.fingerprint, question, question]);
    const deployer = await Deployer.open(connection, { withoutSystemd: place.path, prompts });
    const { release } = await deployer.deploy({ device: 'mock:' });
    expect(await place.settled()).toBe(release);
    const found = spawnSync('grep', ['-rlF', PASSWORD, sshd.home, place.path], { encoding: 'utf8' });
    expect(found).toMatchObject({ status: 1, stdout: '' });
  });

  it('gives up where the password stays wrong', async () => {
    await expect(login(answers('a', 'b', 'c', PASSWORD).prompts)).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
    });
  });

  it('names a disk that is too small before anything is sent', async () => {
    await using connection = await login(answers(PASSWORD).prompts);
    const deployer = await Deployer.open(connection, { withoutSystemd: `${folder.path}/small/board` });
    await expect(deployer.deploy({ device: 'mock:' })).rejects.toMatchObject({
      code: 'DEPLOY_PREFLIGHT',
      message: expect.stringMatching(/disk: \d+ MiB free\. \d+ MiB are needed/),
    });
    expect((await connection.exec(`ls ${folder.path}/small`)).stdout).toBe('');
  });

  it('says where the disk filled up meanwhile, and goes on once there is room', async () => {
    await using connection = await login(answers(PASSWORD).prompts);
    const place = `${folder.path}/tight`;
    // Filled before the first byte is on its way: the preflight has passed by then.
    const filling = {
      exec: connection.exec.bind(connection),
      forwardTo: connection.forwardTo.bind(connection),
      upload: async (...args: Parameters<typeof connection.upload>) => {
        await connection.exec(`head -c 1G /dev/zero > ${place}/filler`);
        await connection.upload(...args);
      },
    };
    const options = { withoutSystemd: `${place}/board` };
    const deployer = await Deployer.open(filling, options);
    await expect(deployer.deploy({ device: 'mock:' })).rejects.toMatchObject({ code: 'DEPLOY_DISK_FULL' });
    await connection.exec(`rm ${place}/filler`);
    const again = await Deployer.open(connection, options);
    const { release } = await again.deploy({ device: 'mock:' });
    expect((await again.list()).map(({ digest, running }) => ({ digest, running }))).toEqual([
      { digest: release, running: true },
    ]);
    await again.uninstall();
    expect(readdirSync(place)).toEqual([]);
  });
});
