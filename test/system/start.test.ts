import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const DIST = new URL('../../', import.meta.url);
const NODE_MODULES = pathToFileURL(join(fileURLToPath(DIST), '..', 'node_modules/')).href;

/** The rooms (`cli`, `sdk`, …) and packages whose code a run of the command line loaded, as V8 counted its scripts. */
async function loadedBy(...args: string[]) {
  const folder = join(directory.path, args.join('-'));
  mkdirSync(folder);
  const result = await cli(args, { home: directory.path, env: { NODE_V8_COVERAGE: folder } });
  const urls = readdirSync(folder).flatMap((file) => {
    const { result }: { result: { url: string }[] } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    return result.map(({ url }) => url);
  });
  const firstFolders = (base: string) =>
    urls.filter((url) => url.startsWith(base)).map((url) => url.slice(base.length).split('/')[0]!);
  return {
    status: result.status,
    loaded: [...new Set([...firstFolders(DIST.href), ...firstFolders(NODE_MODULES)])].sort(),
  };
}

it.each([
  { args: ['--version'], status: 0 },
  { args: ['--help'], status: 0 },
  { args: ['run', '--help'], status: 0 },
  { args: ['no-such-command'], status: 2 },
  { args: ['deploy', '--no-such-option'], status: 2 },
])('$args loads nothing but definitions of commands', async ({ args, status }) => {
  expect(await loadedBy(...args)).toEqual({ status, loaded: ['cli', 'commander', 'errors'] });
});

it('a command that does work loads what it works with', async () => {
  const { status, loaded } = await loadedBy('regs', 'dma0');
  expect(status).toBe(0);
  expect(loaded).toEqual(expect.arrayContaining(['agent', 'sdk', 'protocol', 'zod']));
});
