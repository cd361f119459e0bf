import { PynqLlmError } from '../../errors/index.js';
import { quote, type RemoteHost } from '../ssh/index.js';
import { checkBusy } from './board-state.js';
import type { Layout } from './layout.js';
import type { Release, ReleaseFile } from './release.js';
import { commandFailed, type RootShell } from './root-shell.js';
import { SWITCH_STATUS } from './switch-script.js';

/** Assembling copies and hashes a hundred megabytes: minutes on a slow card. */
const ASSEMBLE_MS = 10 * 60_000;
/** The assembling script's answer for bytes that are not what they should be. */
const CORRUPT = 68;

export interface SendProgress {
  /** Bytes of the release that are on the board. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** Where files wait until their release is complete: they belong to who logs in, named by their digests. */
function incoming({ base }: Layout): string {
  return `${base}/incoming`;
}

/** Shell commands that make the folders for `sendRelease`, as root. */
export function prepareFolders(layout: Layout, uid: number): string {
  return `umask 022
mkdir -p ${quote(layout.base)}/releases
install -d -m 700 -o ${uid} ${quote(incoming(layout))}`;
}

/** What is there already: files of the active release by digest, and of `incoming` with their sizes. */
export interface Inventory {
  readonly installed: ReadonlyMap<string, string>;
  readonly waiting: ReadonlyMap<string, number>;
}

/** Looks for files that need not be sent. */
export async function takeInventory(host: RemoteHost, layout: Layout): Promise<Inventory> {
  const result = await host.exec(
    `cd ${quote(layout.base)} || exit 1; for list in releases/*/MANIFEST; do [ ! -f "$list" ] || { echo "in \${list%/MANIFEST}"; cat "$list"; }; done
cd incoming || exit 1; for file in *; do [ ! -f "$file" ] || echo "waiting $file $(wc -c < "$file")"; done`,
  );
  if (result.status !== 0) throw commandFailed('list what it has', result);
  const installed = new Map<string, string>();
  const waiting = new Map<string, number>();
  let folder = '';
  for (const line of result.stdout.split('\n')) {
    const [, name] = /^in (releases\/[0-9a-f]{64})$/.exec(line) ?? [];
    const [, digest, path] = /^([0-9a-f]{64}) {2}([\w@./+-]+)$/.exec(line) ?? [];
    const [, sent, bytes] = /^waiting ([0-9a-f]{64}) (\d+)$/.exec(line) ?? [];
    if (name !== undefined) folder = name;
    else if (digest !== undefined) installed.set(digest, `${folder}/${path}`);
    else if (sent !== undefined) waiting.set(sent, Number(bytes));
  }
  return { installed, waiting };
}

/** Bytes of a release that are yet to be sent. */
export function bytesToSend(release: Release, { installed, waiting }: Inventory): number {
  return distinct(release)
    .filter(({ sha256 }) => !installed.has(sha256))
    .reduce((sum, { sha256, bytes }) => sum + Math.max(0, bytes - (waiting.get(sha256) ?? 0)), 0);
}

/**
 * Sends the files that the board does not have, goes on with those that were sent in part, and puts the release
 * together under its digest. Every byte is checked there before the release has its name.
 * @throws PynqLlmError DEPLOY_TRANSFER, DEPLOY_DISK_FULL, DEPLOY_BUSY, SSH_...
 */
export async function sendRelease(
  host: RemoteHost,
  root: RootShell,
  layout: Layout,
  release: Release,
  inventory: Inventory,
  onProgress: (progress: SendProgress) => void,
  signal?: AbortSignal,
): Promise<void> {
  const totalBytes = release.bytes;
  let done = 0;
  const sources = new Map<string, string>();
  for (const file of distinct(release)) {
    signal?.throwIfAborted();
    const installed = inventory.installed.get(file.sha256);
    sources.set(file.sha256, installed ?? `incoming/${file.sha256}`);
    const before = done;
    if (installed === undefined)
      await sendFile(host, layout, file, inventory.waiting.get(file.sha256) ?? 0, (bytes) =>
        onProgress({ bytes: before + bytes, totalBytes }),
      );
    done += file.bytes;
    onProgress({ bytes: done, totalBytes });
  }
  signal?.throwIfAborted();
  const result = await root.try(assembleScript(layout, release, sources), [], ASSEMBLE_MS);
  if (result.status === CORRUPT)
    throw new PynqLlmError(
      'DEPLOY_TRANSFER',
      `On the board differ: ${result.stdout.trim().replaceAll('\n', ', ')}.`,
    );
  checkBusy(result);
  if (result.status !== 0) throw commandFailed('put the release together', result);
}

async function sendFile(
  host: RemoteHost,
  layout: Layout,
  file: ReleaseFile,
  sent: number,
  onProgress: (bytes: number) => void,
): Promise<void> {
  if (sent === file.bytes) return;
  const path = `${incoming(layout)}/${file.sha256}`;
  // More than the whole cannot be the beginning of it.
  const offset = sent < file.bytes ? sent : 0;
  try {
    await host.upload({ from: file.from, offset }, path, onProgress);
  } catch (error) {
    if (!(error instanceof PynqLlmError) || !/No space left on device|quota exceeded/i.test(error.message))
      throw error;
    throw new PynqLlmError('DEPLOY_DISK_FULL', `No space was left for ${file.path} (${file.bytes} bytes).`, {
      cause: error,
    });
  }
}

/**
 * A file from another release is linked, one that was sent is moved. A release that is there already is left as it is.
 */
function assembleScript(layout: Layout, release: Release, sources: ReadonlyMap<string, string>): string {
  const folders = new Set(
    release.files.map(({ path }) => path.split('/').slice(0, -1).join('/')).filter(Boolean),
  );
  const placed = new Map<string, string>();
  const steps = release.files.map(({ path, sha256, mode }) => {
    const target = `"$new"/${quote(path)}`;
    const twin = placed.get(sha256);
    placed.set(sha256, target);
    const source = quote(sources.get(sha256) ?? '');
    const take =
      twin !== undefined
        ? `cp ${twin} ${target}`
        : source.startsWith('incoming/')
          ? `mv ${source} ${target}; chown "$me" ${target}`
          : `ln ${source} ${target}`;
    return `${take}; chmod ${mode} ${target}`;
  });
  return `set -eu
trap '' HUP PIPE
umask 022
cd ${quote(layout.base)}
exec 9>lock
flock -w 60 9 || exit ${SWITCH_STATUS.busy}
target=releases/${release.digest}
if [ -f "$target/MANIFEST" ]; then rm -rf incoming/*; exit 0; fi
new="$target.new"
rm -rf "$new"
me=$(id -u):$(id -g)
mkdir -p "$new" ${[...folders].map((folder) => `"$new"/${quote(folder)}`).join(' ')}
${steps.join('\n')}
cat > "$new/MANIFEST" <<'END'
${release.manifest}END
bad=$(cd "$new" && sha256sum -c MANIFEST 2>/dev/null | sed -n 's/: FAILED.*//p')
if [ "$bad" ]; then
  echo "$bad"
  rm -rf "$new" incoming/*
  exit ${CORRUPT}
fi
sync
mv -T "$new" "$target"
rm -rf incoming/*
`;
}

/** Files by content: what is twice in a release is sent once. */
function distinct(release: Release): ReleaseFile[] {
  return [...new Map(release.files.map((file) => [file.sha256, file])).values()];
}
