import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import { fetchPackage } from './npm-package.js';
import type { Platform } from './platforms.js';

/** One file of a release. */
export interface ReleaseFile {
  /** Below the release's folder, with `/`. */
  readonly path: string;
  /** A file here, or its bytes. */
  readonly from: string | Uint8Array;
  readonly bytes: number;
  readonly sha256: string;
  readonly mode: '755' | '644';
}

/** Everything that runs on a board: Node, the agent, koffi, how to start it. Named by the digest of its list of files. */
export interface Release {
  readonly digest: string;
  readonly version: string;
  readonly bytes: number;
  readonly files: readonly ReleaseFile[];
  /** Lines of `sha256sum`. */
  readonly manifest: string;
}

/** What `require('koffi')` reads; its C++ sources and ES module stay here. */
const KOFFI_FILES = [
  'package.json',
  'index.cjs',
  'src/koffi/index.cjs',
  'src/koffi/src/static.cjs',
  'src/koffi/src/trampolines.cjs',
];

/** Whether a path stays below the folder of a release, and has no character that a shell or a list of sums minds. */
export function isReleasePath(path: string): boolean {
  return /^[\w@+][\w@.+-]*(\/[\w@+][\w@.+-]*)*$/.test(path);
}

/** The bundle that scripts/build-bundle.mjs writes. */
export function shippedBundle(): string {
  return join(packageFolder(), 'dist', 'bundle');
}

/** Of the installed package: this file is dist/sdk/deploy/release.js when it runs. */
function packageFolder(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
}

/**
 * Puts a release together, fetching what is not in the cache.
 * @param bundle folder of the agent's bundle
 * @param more files that are this board's, by path: how it is installed, its design
 * @param kept files that the board has already: SHA-256 by path
 * @throws PynqLlmError DEPLOY_BUNDLE, DEPLOY_RUNTIME
 */
export async function buildRelease(
  platform: Platform,
  bundle: string,
  more: Readonly<Record<string, string | Uint8Array>>,
  kept: ReadonlyMap<string, string> = new Map(),
  signal?: AbortSignal,
): Promise<Release> {
  const { node, koffi } = platform;
  if (!existsSync(join(bundle, 'agent', 'main.mjs')))
    throw new PynqLlmError('DEPLOY_BUNDLE', `${bundle} has no agent.`);
  const { version, shared } = readAbout(bundle);
  const place = async (from: typeof koffi.from, files: readonly string[]) =>
    typeof from === 'string' ? from : await fetchPackage(from, files, signal);
  const program =
    node.from instanceof Uint8Array ? node.from : join(await place(node.from, [node.file]), node.file);
  const nativeFolder = await place(koffi.from, koffi.files);
  const koffiFolder = dirname(createRequire(import.meta.url).resolve('koffi'));
  const versions = { version, node: platform.nodeVersion, architecture: platform.architecture };
  const files = await Promise.all([
    fileOf('bin/node', program, '755'),
    ...listFiles(bundle).map((file) => fileOf(file, join(bundle, file), '644')),
    ...Object.entries(shared).map(([path, from]) => fileOf(path, join(packageFolder(), from), '644')),
    ...KOFFI_FILES.map((file) => fileOf(`node_modules/koffi/${file}`, join(koffiFolder, file), '644')),
    ...koffi.files.map((file) =>
      fileOf(`node_modules/${koffi.name}/${file}`, join(nativeFolder, file), '644'),
    ),
    ...Object.entries(more).map(([path, data]) => fileOf(path, Buffer.from(data), '644')),
    ...Array.from(
      kept,
      ([path, sha256]): ReleaseFile => ({ path, from: Buffer.alloc(0), bytes: 0, sha256, mode: '644' }),
    ),
    fileOf('VERSION.json', Buffer.from(`${JSON.stringify(versions)}\n`), '644'),
  ]);
  const strange = files.find(({ path }) => !isReleasePath(path));
  if (strange !== undefined)
    throw new PynqLlmError(
      'DEPLOY_BUNDLE',
      `${JSON.stringify(strange.path)} is no name for a file of a release.`,
    );
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest = files.map(({ sha256, path }) => `${sha256}  ${path}\n`).join('');
  return {
    digest: createHash('sha256').update(manifest).digest('hex'),
    version,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files,
    manifest,
  };
}

async function fileOf(
  path: string,
  from: string | Uint8Array,
  mode: ReleaseFile['mode'],
): Promise<ReleaseFile> {
  const hash = createHash('sha256');
  if (typeof from !== 'string')
    return { path, from, bytes: from.byteLength, sha256: hash.update(from).digest('hex'), mode };
  try {
    await pipeline(createReadStream(from), hash);
    return { path, from, bytes: statSync(from).size, sha256: hash.digest('hex'), mode };
  } catch (cause) {
    throw new PynqLlmError('DEPLOY_BUNDLE', `${from} cannot be read.`, { cause });
  }
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(folder, path)).isFile())
    .map((path) => path.split(sep).join('/'));
}

/** A bundle's package.json. `shared` are files that the package has anyway: places in it by places in the release. */
const about = z.object({
  version: z.string(),
  shared: z.record(z.string(), z.string().refine(isReleasePath)).default({}),
});

function readAbout(bundle: string): z.output<typeof about> {
  const { success, data, error } = about.safeParse(
    JSON.parse(readFileSync(join(bundle, 'package.json'), 'utf8')),
  );
  if (success) return data;
  throw new PynqLlmError('DEPLOY_BUNDLE', `${bundle} has no usable package.json.`, { cause: error });
}
