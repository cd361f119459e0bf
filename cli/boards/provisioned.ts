import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';
import type { ProvisionResult } from '../../sdk/board-setup.js';

/** What `provision` has made ready from this computer. */
export interface ProvisionedBoard {
  readonly hostName: string;
  readonly user: string;
  readonly addresses: readonly string[];
  /** `SHA256:…` of its SSH host keys, read over the cable. */
  readonly hostKeys: readonly string[];
  /** ISO 8601. */
  readonly at: string;
}

/** More are of a bench that was rebuilt long ago. */
const MOST_KEPT = 200;

function recordFile(): string {
  const { XDG_STATE_HOME: base = '' } = process.env;
  return join(
    base.startsWith('/') ? base : join(homedir(), '.local', 'state'),
    'pynq-llm',
    'provisioned.json',
  );
}

/** Boards that were made ready from here, the latest first; each host key once. @throws PynqLlmError CLI_FILE_UNREADABLE */
export function provisionedBoards(): readonly ProvisionedBoard[] {
  const file = recordFile();
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw new PynqLlmError('CLI_FILE_UNREADABLE', `${file} cannot be read: ${String(cause)}.`, { cause });
  }
  return Array.isArray(list) ? list.filter(isProvisioned) : [];
}

/** Keeps what provisioning found out, so that `boards scan` finds the board again. @throws PynqLlmError CLI_FILE_UNWRITABLE */
export function rememberProvisioned(user: string, { hostName, addresses, hostKeys }: ProvisionResult): void {
  const fingerprints = hostKeys.map(({ fingerprint }) => fingerprint);
  const board: ProvisionedBoard = {
    hostName,
    user,
    addresses: addresses.map(({ address }) => address),
    hostKeys: fingerprints,
    at: new Date().toISOString(),
  };
  const isOther = (one: ProvisionedBoard) =>
    fingerprints.length === 0
      ? one.hostName !== hostName
      : !one.hostKeys.some((key) => fingerprints.includes(key));
  const boards = [board, ...provisionedBoards().filter(isOther)].slice(0, MOST_KEPT);
  const file = recordFile();
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(boards, null, 1)}\n`, { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch (cause) {
    throw new PynqLlmError('CLI_FILE_UNWRITABLE', `${file} cannot be written: ${String(cause)}.`, { cause });
  }
}

function isProvisioned(value: unknown): value is ProvisionedBoard {
  if (typeof value !== 'object' || value === null) return false;
  const { hostName, user, addresses, hostKeys, at } = value as Record<string, unknown>;
  const isTexts = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === 'string');
  return (
    [hostName, user, at].every((text) => typeof text === 'string') && isTexts(addresses) && isTexts(hostKeys)
  );
}
