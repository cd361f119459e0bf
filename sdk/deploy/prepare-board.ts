import { PynqLlmError } from '../../errors/index.js';
import { quote } from '../ssh/index.js';
import { INCOMING, type Layout } from './layout.js';
import { commandFailed, type RootShell } from './root-shell.js';
import type { ServiceManager } from './service-manager.js';

/** The script's answer for a folder that others may change; it prints its path. */
const UNSAFE = 70;

/**
 * Makes users and folders; what is there already stays.
 * @param uid of who logs in, to whom files are sent
 * @throws PynqLlmError DEPLOY_UNSAFE_FOLDER, SSH_COMMAND_FAILED, DEPLOY_DISK_FULL, SSH_...
 */
export async function prepareBoard(
  root: RootShell,
  manager: ServiceManager,
  layout: Layout,
  uid: number,
): Promise<void> {
  const releases = `${layout.base}/releases`;
  const result = await root.try(`set -e
umask 022
${onlyRootChanges([releases, layout.config])}
mkdir -p ${quote(releases)}
install -d -m 700 -o ${uid} ${quote(`${layout.base}/${INCOMING}`)}
${manager.prepare(layout)}`);
  if (result.status === UNSAFE)
    throw new PynqLlmError('DEPLOY_UNSAFE_FOLDER', `${result.stdout.trim()} can be changed by other users.`);
  if (result.status !== 0) throw commandFailed('make its folders', result);
}

/**
 * Shell commands that refuse to go on where root would work in a folder that another user could put another one in the
 * place of: it and all above it have to be root's, and closed to others unless sticky, as /tmp is.
 */
function onlyRootChanges(paths: readonly string[]): string {
  return `refuse_others() {
  place=$1
  while [ ! -e "$place" ]; do place=$(dirname "$place"); done
  while :; do
    if [ "$(find "$place" -prune \\( ! -uid 0 -o ! -type l ! -perm -1000 \\( -perm -002 -o -perm -020 ! -gid 0 \\) \\))" ]; then
      echo "$place"; exit ${UNSAFE}
    fi
    [ "$place" != / ] || break
    place=$(dirname "$place")
  done
}
if [ "$(id -u)" = 0 ]; then
  for path in ${paths.map(quote).join(' ')}; do refuse_others "$path"; refuse_others "$(readlink -m "$path")"; done
fi`;
}
