import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file that ships with the package, from its root: this file is dist/cli/package-files.js when it runs. */
export function packageFile(...path: string[]): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', ...path);
}

/** Version of the package. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
  return version;
}
