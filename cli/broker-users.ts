import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { PynqLlmError } from '../errors/index.js';
import type { Enrolled } from '../fleet/index.js';

/** Where docs/fleet.md has nats-server's configuration include it from. */
export const USERS_FILE = '/etc/nats/fleet-users.conf';
/** Another process has the file for as long as it takes to write it. */
const LOCK_MS = 10_000;
const RELOAD_MS = 20_000;

/** The list of a broker's members on this machine. */
export interface BrokerUsers {
  readonly file: string;
  /** File in which the broker keeps its process's number, where systemd does not run it. */
  readonly pidFile?: string | undefined;
}

/** @throws PynqLlmError FLEET_USERS_FILE */
export async function usersOf({ file }: BrokerUsers): Promise<readonly Enrolled[]> {
  const { readUsers } = await import('../fleet/index.js');
  const text = readIfThere(file);
  return text === undefined ? [] : readUsers(text);
}

/**
 * Changes the list and has the broker read it; where the list stays as it is, only the latter is left out.
 * @returns whether it was changed
 * @throws PynqLlmError FLEET_USERS_FILE, FLEET_BROKER_RELOAD; as `change`
 */
export async function changeUsers(
  users: BrokerUsers,
  change: (members: readonly Enrolled[]) => readonly Enrolled[],
): Promise<boolean> {
  const { writeUsers } = await import('../fleet/index.js');
  const { file } = users;
  const fresh = `${file}.new`;
  const lock = await exclusively(fresh);
  let isMoved = false;
  try {
    const text = writeUsers(change(await usersOf(users)));
    if (text === readIfThere(file)) return false;
    writeFileSync(lock, text);
    // The broker's user reads it: nothing in it is secret.
    chmodSync(fresh, modeOf(file) ?? 0o644);
    renameSync(fresh, file);
    isMoved = true;
  } catch (error) {
    throw error instanceof PynqLlmError ? error : unusable(file, error);
  } finally {
    closeSync(lock);
    // From then on the name is another one's.
    if (!isMoved) rmSync(fresh, { force: true });
  }
  if (users.pidFile === undefined) reload();
  else signal(users.pidFile);
  return true;
}

/** Has the broker that systemd runs read its configuration again. @throws PynqLlmError FLEET_BROKER_RELOAD */
function reload(): void {
  const { status, stderr, error } = spawnSync('systemctl', ['reload', 'nats-server'], {
    encoding: 'utf8',
    timeout: RELOAD_MS,
  });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  throw new PynqLlmError('FLEET_BROKER_RELOAD', `systemctl could not reload nats-server: ${why}.`);
}

function signal(pidFile: string): void {
  try {
    const pid = Number(readFileSync(pidFile, 'latin1'));
    // The number may be another process's by now.
    if (readFileSync(`/proc/${pid}/comm`, 'latin1').trim() !== 'nats-server')
      throw new Error(`process ${pid} is no nats-server`);
    process.kill(pid, 'SIGHUP');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('FLEET_BROKER_RELOAD', `The broker of ${pidFile} was not told: ${why}.`, {
      cause,
    });
  }
}

/** A new file that only one process makes at a time: two that enrol would lose one of the members. */
async function exclusively(fresh: string): Promise<number> {
  for (const until = performance.now() + LOCK_MS; ; await delay(50))
    try {
      return openSync(fresh, 'wx', 0o644);
    } catch (error) {
      if (!isSystem(error, 'EEXIST')) throw unusable(fresh, error);
      if (performance.now() > until)
        throw new PynqLlmError('FLEET_USERS_FILE', `${fresh} is there: another one changes the list.`, {
          cause: error,
          remedy: 'Try again; where nobody does, a change was cut off: remove that file.',
        });
    }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isSystem(error, 'ENOENT')) return undefined;
    throw unusable(file, error);
  }
}

function modeOf(file: string): number | undefined {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  return mode === undefined ? undefined : mode & 0o777;
}

function isSystem(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function unusable(file: string, cause: unknown): PynqLlmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PynqLlmError('FLEET_USERS_FILE', `${file} cannot be used: ${why}.`, { cause });
}
