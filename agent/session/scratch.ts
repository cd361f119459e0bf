import { randomBytes } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../listen/index.js';
import { isRunning } from './system-error.js';

/** The folder of a process, by its number. */
const NAME = /^pynq-llm-(\d{1,10})-[0-9a-f]{16}$/;

/** A directory of this process's own for traces; made when it is needed. */
export function scratchDirectory(): string {
  return join(tmpdir(), `pynq-llm-${process.pid}-${randomBytes(8).toString('hex')}`);
}

/**
 * Removes what agents that were killed left among the temporary files. Others may put anything there: only folders of
 * this user, not links, of processes that are gone. What cannot be removed is left for the next time.
 * @param directory where `scratchDirectory` makes its folders
 */
export async function removeOldScratch(log: Log, directory: string = tmpdir()): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const pid = NAME.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    const path = join(directory, name);
    try {
      const stats = await lstat(path);
      if (!stats.isDirectory() || stats.uid !== process.getuid?.()) continue;
      // It removes links within, never what they point at.
      await rm(path, { recursive: true });
      log.info({ path }, 'removed the traces of an agent that was killed');
    } catch (err) {
      log.warn({ err, path }, 'the traces of an agent that was killed could not be removed');
    }
  }
}
