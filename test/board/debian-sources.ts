import { spawnSync } from 'node:child_process';
import { lacking } from '../system/support/required-packages.js';

const UPDATE_MS = 120_000;
const ASK_MS = 30_000;
/** What kernel.sh downloads. */
const KERNEL_SOURCE = 'linux-source-6.1';
/** Where card.sh has the packages of the card from. */
const MIRROR = ['--format', '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian', 'Label: Debian'];

/**
 * Why apt knows no sources to build the board from, or nothing if it does. Its lists are brought up to date first; an update
 * that fails, of one list of several perhaps, leaves those that are there, and they decide.
 */
export function noDebianSources(): string | undefined {
  apt(['-qq', 'update'], UPDATE_MS);
  const kernel = apt(['-qq', '--print-uris', 'download', KERNEL_SOURCE], ASK_MS);
  const mirror = apt(['indextargets', ...MIRROR], ASK_MS);
  if (kernel.status === 0 && mirror.status === 0 && mirror.stdout.trim() !== '') return undefined;
  const without = kernel.status === 0 ? 'a mirror of Debian' : KERNEL_SOURCE;
  return lacking(`building the board needs Debian packages, and apt's lists are without ${without}`);
}

function apt(args: readonly string[], timeout: number) {
  return spawnSync('apt-get', args, { timeout, encoding: 'utf8' });
}
