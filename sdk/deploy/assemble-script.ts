import { shellScript } from '../ssh/index.js';
import { INCOMING, type Layout, SAFE_READ } from './layout.js';
import type { Release } from './release.js';
import { LOCK, SWITCH_STATUS } from './switch-script.js';

/** The script's answer for files that are not there as announced; it prints their paths. */
export const CORRUPT = 68;

/**
 * assemble.sh for a release: the shell script that makes it, as root, of files that arrived and files that are there.
 * @param sources where each file is, by SHA-256: below the base folder
 */
export function assembleScript(
  { base }: Layout,
  { digest, files }: Release,
  sources: ReadonlyMap<string, string>,
): string {
  const lines = files.map(
    ({ sha256, mode, bytes, path }) => `${sha256} ${mode} ${bytes} ${sources.get(sha256)} ${path}`,
  );
  return shellScript([LOCK, new URL('./assemble.sh', import.meta.url)], {
    BASE: base,
    INCOMING,
    DIGEST: digest,
    FILES: lines.join('\n'),
    SAFE_READ,
    BUSY: SWITCH_STATUS.busy,
    CORRUPT,
  });
}
