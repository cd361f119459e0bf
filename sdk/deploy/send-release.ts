import { PynqLlmError } from '../../errors/index.js';
import type { OnProgress } from '../../protocol/index.js';
import { type RemoteHost, shellCommand, shellScript } from '../ssh/index.js';
import { assembleScript, CORRUPT } from './assemble-script.js';
import { checkBusy } from './board-state.js';
import { INCOMING, type Layout } from './layout.js';
import { isReleasePath, type Release, type ReleaseFile } from './release.js';
import { commandFailed, type RootShell } from './root-shell.js';

/** Assembling copies and hashes a hundred megabytes: minutes on a slow card. */
const ASSEMBLE_MS = 10 * 60_000;

/** Where files wait until their release is complete: they belong to who logs in, named by their digests. */
function incoming({ base }: Layout): string {
  return `${base}/${INCOMING}`;
}

/** What is there already: files of the active release by digest, and of `incoming` with their sizes. */
export interface Inventory {
  readonly installed: ReadonlyMap<string, string>;
  readonly waiting: ReadonlyMap<string, number>;
}

/**
 * Looks for files that need not be sent, as who logs in. What is in the way of a file in `incoming`, a link or a pipe,
 * is taken away.
 */
export async function takeInventory(host: RemoteHost, layout: Layout): Promise<Inventory> {
  const script = shellScript([new URL('./inventory.sh', import.meta.url)], { BASE: layout.base, INCOMING });
  const result = await host.exec(shellCommand(script));
  if (result.status !== 0) throw commandFailed('list what it has', result);
  const installed = new Map<string, string>();
  const waiting = new Map<string, number>();
  let folder = '';
  for (const line of result.stdout.split('\n')) {
    const [, name] = /^in (releases\/[0-9a-f]{64})$/.exec(line) ?? [];
    const [, digest, path = ''] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    const [, sent, bytes] = /^waiting ([0-9a-f]{64}) (\d+)$/.exec(line) ?? [];
    if (name !== undefined) folder = name;
    else if (digest !== undefined && isReleasePath(path)) installed.set(digest, `${folder}/${path}`);
    else if (sent !== undefined) waiting.set(sent, Number(bytes));
  }
  return { installed, waiting };
}

/**
 * Bytes of a release that are yet to be sent, and what the board's storage has to have room for: these, and a copy of
 * all that was sent.
 */
export function bytesToSend(
  release: Release,
  { installed, waiting }: Inventory,
): { readonly send: number; readonly store: number } {
  const missing = release.files.filter(({ sha256 }) => !installed.has(sha256));
  const send = distinct(missing).reduce(
    (sum, { sha256, bytes }) => sum + Math.max(0, bytes - (waiting.get(sha256) ?? 0)),
    0,
  );
  return { send, store: send + missing.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/**
 * Sends the files that the board does not have, goes on with those that were sent in part, and puts the release
 * together under its digest. Every byte of it is checked there, as root, before the release has its name.
 * @throws PynqLlmError DEPLOY_TRANSFER, DEPLOY_DISK_FULL, DEPLOY_BUSY, SSH_...
 */
export async function sendRelease(
  host: RemoteHost,
  root: RootShell,
  layout: Layout,
  release: Release,
  inventory: Inventory,
  onProgress: OnProgress,
  signal?: AbortSignal,
): Promise<void> {
  const totalBytes = release.bytes;
  let done = 0;
  const sources = new Map<string, string>();
  for (const file of distinct(release.files)) {
    signal?.throwIfAborted();
    const installed = inventory.installed.get(file.sha256);
    sources.set(file.sha256, installed ?? `${INCOMING}/${file.sha256}`);
    const before = done;
    if (installed === undefined)
      await sendFile(host, layout, file, inventory.waiting.get(file.sha256), (bytes) =>
        onProgress(before + bytes, totalBytes, 'bytes'),
      );
    done += file.bytes;
    onProgress(done, totalBytes, 'bytes');
  }
  signal?.throwIfAborted();
  const result = await root.try(assembleScript(layout, release, sources), [], ASSEMBLE_MS);
  if (result.status === CORRUPT) {
    const why = result.stderr.trim().split('\n').slice(0, 3).join(' ').slice(0, 500);
    throw new PynqLlmError(
      'DEPLOY_TRANSFER',
      `On the board differ: ${result.stdout.trim().replaceAll('\n', ', ')}.${why && ` It says: ${why}.`}`,
    );
  }
  checkBusy(result);
  if (result.status !== 0) throw commandFailed('put the release together', result);
}

async function sendFile(
  host: RemoteHost,
  layout: Layout,
  file: ReleaseFile,
  sent: number | undefined,
  onSent: (bytes: number) => void,
): Promise<void> {
  if (sent === file.bytes) return;
  const path = `${incoming(layout)}/${file.sha256}`;
  // More than the whole cannot be the beginning of it.
  const offset = sent !== undefined && sent < file.bytes ? sent : 0;
  try {
    await host.upload({ from: file.from, offset }, path, onSent);
  } catch (error) {
    if (!(error instanceof PynqLlmError) || !/No space left on device|quota exceeded/i.test(error.message))
      throw error;
    throw new PynqLlmError('DEPLOY_DISK_FULL', `No space was left for ${file.path} (${file.bytes} bytes).`, {
      cause: error,
    });
  }
}

/** Files by content: what is twice in a release is sent once. */
function distinct(files: readonly ReleaseFile[]): ReleaseFile[] {
  return [...new Map(files.map((file) => [file.sha256, file])).values()];
}
