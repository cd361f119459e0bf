import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** Version of the package: from package.json, which lies above the sources or above dist/. */
export const AGENT_VERSION: string = readVersion();

function readVersion(): string {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const file = join(root.endsWith('dist') ? dirname(root) : root, 'package.json');
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
}
