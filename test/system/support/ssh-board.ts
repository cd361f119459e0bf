import { cli } from './cli.js';
import { DeployFolder } from './deploy-folder.js';
import { startSshd, type TestSshd } from './sshd.js';

/** A real SSH server and an empty folder behind it, which the command line deploys to without systemd. */
export class SshBoard implements AsyncDisposable {
  readonly sshd: TestSshd;
  readonly folder: DeployFolder;
  /** `USER@HOST:PORT` */
  readonly target: string;

  private constructor(sshd: TestSshd) {
    this.sshd = sshd;
    this.folder = new DeployFolder();
    this.target = `${sshd.user}@127.0.0.1:${sshd.port}`;
  }

  /** @param config further lines of the server's configuration */
  static async start(config: readonly string[] = []): Promise<SshBoard> {
    return new SshBoard(await startSshd(config));
  }

  /** `pynq-llm deploy` to the folder, with a mock for a device. */
  deploy(...args: string[]) {
    const options = ['--yes', '--without-systemd', this.folder.path, '--agent-device', 'mock:'];
    return cli(['deploy', this.target, ...options, ...args], { home: this.sshd.home });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sshd[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}
