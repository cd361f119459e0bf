import { truncateSync, writeFileSync } from 'node:fs';
import { run } from './run.js';

/** As the image's own file system: the kernel has no checksums of metadata. Nothing is lost without a journal, or kept for root. */
const FORMAT = ['-q', '-t', 'ext4', '-O', '^metadata_csum,^64bit,^has_journal', '-m', '0'];

/**
 * Makes a second card of what is in a folder, as files of root.
 * @param byteLength a power of two
 */
export async function makeCard(folder: string, path: string, byteLength: number): Promise<void> {
  writeFileSync(path, '');
  truncateSync(path, byteLength);
  await run('mke2fs', [...FORMAT, '-d', folder, path], { timeoutMs: 300_000 });
}
