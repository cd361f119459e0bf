import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const SETTLE_MS = 20_000;

/**
 * A folder that `deploy --without-systemd` works in, and a look at it that shares no code with what is tested: which
 * processes run from it, what its files are.
 */
export class DeployFolder implements Disposable {
  readonly path: string;

  /** @param path a folder that is there; a new one unless given */
  constructor(path = mkdtempSync(join(realpathSync(tmpdir()), 'pynq-llm-deploy-'))) {
    this.path = path;
  }

  /** Where `current` leads to; undefined where there is none. */
  get current(): string | undefined {
    try {
      return readlinkSync(join(this.path, 'agent', 'current'))
        .split('/')
        .at(-1);
    } catch {
      return undefined;
    }
  }

  /** Digests of the releases that processes run from: one for every process. */
  get running(): string[] {
    return processes().flatMap(({ executable }) => {
      const [, release] = executable.split(join(this.path, 'agent', 'releases/'));
      return release === undefined ? [] : [release.split('/')[0]];
    });
  }

  /** The one release that runs, once exactly one does. @throws Error after 20 s */
  async settled(): Promise<string> {
    for (const end = Date.now() + SETTLE_MS; ; await delay(50)) {
      const { running, current } = this;
      if (running.length === 1 && running[0] === current) return running[0];
      if (Date.now() > end)
        throw new Error(`"${running.join(', ')}" runs, current is ${current}: not one release`);
    }
  }

  /** Every file below the releases with its time of change, and who runs: the same text where nothing was changed. */
  get snapshot(): string {
    const files = readdirSync(join(this.path, 'agent'), { recursive: true, encoding: 'utf8' });
    const lines = files.map((file) => {
      const { ino, size, mtimeMs } = lstatSync(join(this.path, 'agent', file));
      return `${file} ${ino} ${size} ${mtimeMs}`;
    });
    const pids = processes().filter(({ executable }) => executable.startsWith(this.path));
    return [...lines.toSorted(), ...pids.map(({ pid }) => `runs ${pid}`)].join('\n');
  }

  /** Ends what was started in the folder, what waits to undo an activation included, and removes it. */
  [Symbol.dispose](): void {
    for (const { pid, executable, command } of processes())
      if (executable.startsWith(`${this.path}/`) || command.includes(`${this.path}/`)) kill(pid);
    rmSync(this.path, { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function processes(): { pid: number; executable: string; command: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const executable = readlinkSync(`/proc/${pid}/exe`);
      return [{ pid, executable, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      // It has ended meanwhile, or belongs to somebody else.
      return [];
    }
  });
}
