import { access, constants, stat, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { resolveTarget } from '../ssh/client-config.js';
import { parseSshUrl } from '../ssh/index.js';
import { type Check, fail, failure, pass, skip, warn } from './check.js';
import type { DoctorSession } from './session.js';

/** The package's engines field. */
const LEAST_NODE = [20, 11] as const;
/** Room for a small model and its upload. */
const LEAST_DISK_BYTES = 500e6;
const AGENT_WAIT_MS = 2_000;
const GROUP_OR_OTHERS_WRITE = 0o022;

const NOT_SSH = 'the device is not reached through SSH';

/** What the laptop itself needs. */
export const LAPTOP_CHECKS: readonly Check<DoctorSession>[] = [
  {
    name: 'Node.js',
    group: 'laptop',
    run: ({ laptop }) => {
      const [major, minor] = laptop.nodeVersion.split('.').map(Number);
      const [leastMajor, leastMinor] = LEAST_NODE;
      const enough = major > leastMajor || (major === leastMajor && minor >= leastMinor);
      if (enough) return pass(laptop.nodeVersion);
      return fail(
        `${laptop.nodeVersion} is older than ${LEAST_NODE.join('.')}`,
        'Install Node.js 20.11 or later.',
      );
    },
  },
  {
    name: 'disk',
    group: 'laptop',
    run: async ({ laptop }) => {
      const { bavail, bsize } = await statfs(laptop.home);
      const free = bavail * bsize;
      const detail = `${(free / 1e9).toFixed(1)} GB free in ${laptop.home}`;
      if (free >= LEAST_DISK_BYTES) return pass(detail);
      return warn(detail, 'Make room: mock: keeps its models there (PYNQ_LLM_HOME names another folder).');
    },
  },
  {
    name: 'SSH configuration',
    group: 'laptop',
    run: async ({ target, laptop }) => {
      if (target.kind !== 'ssh') return skip(NOT_SSH);
      try {
        await resolveTarget(parseSshUrl(target.url).target);
      } catch (error) {
        return failure(error);
      }
      const path = join(laptop.home, '.ssh', 'config');
      const facts = await stat(path).catch(() => undefined);
      if (facts === undefined) return pass(`no ${path}`);
      if ((facts.mode & GROUP_OR_OTHERS_WRITE) === 0) return pass(path);
      return warn(`others may write ${path}, which OpenSSH refuses`, `chmod 600 ${path}`);
    },
  },
  {
    name: 'SSH agent',
    group: 'laptop',
    run: async ({ target, laptop }) => {
      if (target.kind !== 'ssh') return skip(NOT_SSH);
      const socket = laptop.sshAgentSocket;
      if (socket === undefined || socket === '')
        return pass('none (SSH_AUTH_SOCK is not set); key files and passwords work without one');
      try {
        await access(socket, constants.R_OK | constants.W_OK);
        await answers(socket);
        return pass(`answers at ${socket}`);
      } catch (error) {
        return warn(
          `SSH_AUTH_SOCK is ${socket}, which does not answer: ${reason(error)}`,
          'Start an agent (`eval $(ssh-agent)`, `ssh-add`) or unset SSH_AUTH_SOCK.',
        );
      }
    },
  },
];

function answers(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.setTimeout(AGENT_WAIT_MS, () => socket.destroy(new Error(`silent for ${AGENT_WAIT_MS} ms`)));
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
