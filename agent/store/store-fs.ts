import { mkdir, open, readdir, readFile, rename, stat, statfs, unlink } from 'node:fs/promises';
import { PynqLlmError } from '../../errors/index.js';
import { hasCode, isRunning } from '../session/system-error.js';

/** The part of node:fs/promises that the model store uses: injected, so that tests can play any file system. */
export interface StoreFs {
  readonly mkdir: typeof mkdir;
  readonly open: typeof open;
  readonly readdir: (path: string) => Promise<string[]>;
  readonly readFile: (path: string, encoding: 'utf8') => Promise<string>;
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly stat: (
    path: string,
  ) => Promise<{ readonly size: number; readonly mtimeMs: number; readonly blocks?: number }>;
  readonly statfs: (path: string) => Promise<{ readonly bavail: number; readonly bsize: number }>;
  readonly unlink: (path: string) => Promise<void>;
}

export const nodeFs: StoreFs = { mkdir, open, readdir, readFile, rename, stat, statfs, unlink };

/**
 * What an error of the operating system means for the store.
 * @param what could not be done, as the beginning of a sentence
 * @returns AGENT_STORE_FULL or AGENT_STORE_FAILED; the error itself where it is none of the operating system's
 */
export function storeError(error: unknown, what: string): unknown {
  if (!(error instanceof Error && 'code' in error && /^E[A-Z0-9]+$/.test(String(error.code)))) return error;
  // EFBIG: the file system, or a limit of the process, takes no file of this size.
  const code = hasCode(error, 'ENOSPC', 'EDQUOT', 'EFBIG') ? 'AGENT_STORE_FULL' : 'AGENT_STORE_FAILED';
  return new PynqLlmError(code, `${what}: ${error.message}.`, { cause: error });
}

/** Makes a rename or an unlink in `directory` survive a power cut, where the file system can be told to. */
export async function syncDirectory(fs: StoreFs, directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network and memory file systems cannot sync a directory; the rename itself is still atomic.
    if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM')) throw error;
  } finally {
    await handle.close();
  }
}

/** Replaces a small file whole: a reader, or a power cut, sees the old text or the new one. */
export async function replaceFile(fs: StoreFs, directory: string, name: string, text: string): Promise<void> {
  const temporary = `${directory}/${name}.${process.pid}.tmp`;
  try {
    const handle = await fs.open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, `${directory}/${name}`);
  } catch (error) {
    await removeFile(fs, temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(fs, directory);
}

/** Removes what `replaceFile` of a process that was killed left in the directory. */
export async function removeTemporaries(fs: StoreFs, directory: string, name: string): Promise<void> {
  for (const file of await fs.readdir(directory)) {
    const pid = file.startsWith(`${name}.`)
      ? /^\.(\d{1,10})\.tmp$/.exec(file.slice(name.length))?.[1]
      : undefined;
    if (pid !== undefined && !isRunning(Number(pid))) await removeFile(fs, `${directory}/${file}`);
  }
}

/** Removes a file that may be gone already. */
export async function removeFile(fs: StoreFs, path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}
