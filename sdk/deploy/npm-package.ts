import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { PynqLlmError } from '../../errors/index.js';
import { readTar, type TarFile } from './tar.js';

const FETCH_MS = 10 * 60_000;
/** The largest, Node's, has 150 MB. */
const MAX_UNPACKED_BYTES = 512 * 1024 * 1024;

/** A package of the npm registry, exactly. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** `sha512-…`, as in a package-lock.json. */
  readonly integrity: string;
}

/** Where fetched packages are kept: $XDG_CACHE_HOME or ~/.cache. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME: cache } = process.env;
  return join(cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'), 'pynq-llm-deploy');
}

/**
 * Takes files of a package from the cache, or fetches it with the user's npm (registry, proxy and login as configured).
 * Nothing is kept or used unless the package has the pinned digest.
 * @param files their paths in the package
 * @returns the folder that has them
 * @throws PynqLlmError DEPLOY_RUNTIME
 */
export async function fetchPackage(
  wanted: NpmPackage,
  files: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const folder = join(cacheFolder(), `${wanted.name.replace('/', '+')}-${wanted.version}`);
  if (files.every((file) => existsSync(join(folder, file)))) return folder;
  mkdirSync(cacheFolder(), { recursive: true, mode: 0o700 });
  const work = mkdtempSync(join(cacheFolder(), 'fetch-'));
  try {
    const archive = readFileSync(await download(wanted, work, signal));
    const digest = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
    if (digest !== wanted.integrity)
      throw broken(wanted, `the registry sent other bytes than pinned (${digest})`, undefined);
    const unpacked = join(work, 'unpacked');
    for (const { path, bytes } of unpack(archive, wanted)) {
      if (!files.includes(path)) continue;
      mkdirSync(dirname(join(unpacked, path)), { recursive: true });
      writeFileSync(join(unpacked, path), bytes);
      chmodSync(join(unpacked, path), 0o755);
    }
    const missing = files.filter((file) => !existsSync(join(unpacked, file)));
    if (missing.length > 0) throw broken(wanted, `it has no ${missing.join(', ')}`, undefined);
    rmSync(folder, { recursive: true, force: true });
    // The folder has its name only once everything is in it.
    renameSync(unpacked, folder);
    return folder;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function download(
  wanted: NpmPackage,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const spec = `${wanted.name}@${wanted.version}`;
  try {
    await promisify(execFile)('npm', ['pack', spec, '--pack-destination', folder, '--silent'], {
      timeout: FETCH_MS,
      signal,
      // On Windows npm is a script of the shell; the arguments hold nothing that it could take for its own.
      shell: process.platform === 'win32',
    });
  } catch (cause) {
    signal?.throwIfAborted();
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
    throw broken(
      wanted,
      `npm could not fetch it: ${said.split('\n').slice(-3).join(' ') || 'no answer in time'}`,
      cause,
    );
  }
  return join(folder, `${wanted.name.replace(/^@/, '').replace('/', '-')}-${wanted.version}.tgz`);
}

/** Plain files of an npm package, everything under one folder. */
function* unpack(archive: Uint8Array, wanted: NpmPackage): Generator<TarFile> {
  try {
    for (const { path, bytes } of readTar(gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES })))
      yield { path: path.split('/').slice(1).join('/'), bytes };
  } catch (cause) {
    throw broken(wanted, 'it cannot be unpacked', cause);
  }
}

function broken({ name, version }: NpmPackage, why: string, cause: unknown): PynqLlmError {
  return new PynqLlmError('DEPLOY_RUNTIME', `${name}@${version} cannot be used: ${why}.`, { cause });
}
