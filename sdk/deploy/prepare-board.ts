import { PynqLlmError } from '../../errors/index.js';
import { fileBeside, shellScript } from '../ssh/index.js';
import { INCOMING, type Layout, layoutValues } from './layout.js';
import { commandFailed, type RootShell } from './root-shell.js';
import type { ServiceManager } from './service-manager.js';

/** The script's answer for a folder that others may change; it prints its path. */
const UNSAFE = 70;
/** The shell function that makes the access tokens, in the folder CONFIG. */
export const MAKE_TOKENS = fileBeside('./make-tokens.sh', import.meta.url);

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
  const script = shellScript([MAKE_TOKENS, fileBeside('./prepare.sh', import.meta.url), manager.prepare], {
    ...layoutValues(layout),
    INCOMING,
    LOGIN_UID: uid,
    UNSAFE,
  });
  const result = await root.try(script);
  if (result.status === UNSAFE)
    throw new PynqLlmError('DEPLOY_UNSAFE_FOLDER', `${result.stdout.trim()} can be changed by other users.`);
  if (result.status !== 0) throw commandFailed('make its folders', result);
}
