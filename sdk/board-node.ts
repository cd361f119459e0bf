import { join } from 'node:path';
import { fetchPackage } from './deploy/npm-package.js';
import { platformOf } from './deploy/platforms.js';

/**
 * The Node executable that a release for a board brings, from the cache or fetched with npm.
 * @param machine what `uname -m` says on the board
 * @returns its path; undefined for a machine that no release is made for
 * @throws PynqLlmError DEPLOY_RUNTIME
 */
export async function boardNode(machine: string, signal?: AbortSignal): Promise<string | undefined> {
  const node = platformOf(machine)?.node;
  if (node === undefined) return undefined;
  const { from, file } = node;
  if (from instanceof Uint8Array) throw new Error('what is pinned is a package');
  return join(typeof from === 'string' ? from : await fetchPackage(from, [file], signal), file);
}
