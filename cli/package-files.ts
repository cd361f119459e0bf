import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file that ships with the package, from its root: this file is dist/cli/package-files.js when it runs. */
export function packageFile(...path: string[]): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', ...path);
}
