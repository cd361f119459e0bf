import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { PynqLlmError } from '../../errors/index.js';
import type { Platform } from './platforms.js';
import { readTar, type TarFile } from './tar.js';

const MAX_ARCHIVE_BYTES = 256 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 1024 * 1024 * 1024;
const UNPACK_MS = 5 * 60_000;
const SUMS = 'SHASUMS256.txt';
/** What the agent is made for. */
const LEAST_VERSION = [20, 11] as const;

/** By the machine that a release is for: how Node's archives call it, and e_machine of its programs (ELF, 1.4). */
const MACHINES: Readonly<Record<Platform['architecture'], { readonly name: string; readonly elf: number }>> =
  {
    armv7: { name: 'armv7l', elf: 40 },
    aarch64: { name: 'arm64', elf: 183 },
    x64: { name: 'x64', elf: 62 },
  };

/** An archive of Node.js as nodejs.org has it, and what vouches for it. */
export interface NodeArchive {
  /** Path of node-vX.Y.Z-linux-ARCH.tar.gz or .tar.xz. */
  readonly path: string;
  /** Its SHA-256, 64 hexadecimal digits; that of SHASUMS256.txt beside it unless given. */
  readonly sha256?: string | undefined;
}

/**
 * A platform with the Node of an archive in the place of its own. Nothing of the archive is used unless it has the digest.
 * @throws PynqLlmError DEPLOY_NODE_UNVERIFIED, DEPLOY_NODE_ARCHIVE
 */
export async function withNodeOf(
  platform: Platform,
  { path, sha256 }: NodeArchive,
  signal?: AbortSignal,
): Promise<Platform> {
  const machine = MACHINES[platform.architecture];
  const archive = readArchive(path);
  const wanted = sha256 ?? digestBeside(path);
  const digest = createHash('sha256').update(archive).digest('hex');
  if (digest !== wanted.toLowerCase())
    throw new PynqLlmError('DEPLOY_NODE_UNVERIFIED', `${path} has the SHA-256 ${digest}, not ${wanted}.`, {
      context: { path, digest, wanted },
    });
  const { version, program } = findProgram(path, await unpack(path, archive, signal), machine.name);
  if (!isElfOf(program, machine.elf)) throw unusable(path, `its bin/node is no program for ${machine.name}`);
  return { ...platform, nodeVersion: version, node: { from: program, file: '' } };
}

function readArchive(path: string): Buffer {
  let archive: Buffer;
  try {
    archive = readFileSync(path);
  } catch (cause) {
    throw unusable(path, 'it cannot be read', cause);
  }
  if (archive.length > MAX_ARCHIVE_BYTES) throw unusable(path, `it has ${archive.length} bytes`);
  return archive;
}

/** @throws PynqLlmError DEPLOY_NODE_UNVERIFIED */
function digestBeside(path: string): string {
  const unverified = (why: string, cause?: unknown) =>
    new PynqLlmError('DEPLOY_NODE_UNVERIFIED', `Nothing says which digest ${path} has: ${why}.`, {
      cause,
      context: { path },
    });
  const file = join(dirname(path), SUMS);
  let sums: string;
  try {
    sums = readFileSync(file, 'utf8');
  } catch (cause) {
    throw unverified(`there is no ${SUMS} beside it`, cause);
  }
  const name = basename(path);
  const lines = sums.split('\n').map((line) => /^([0-9a-f]{64}) [ *](.+)$/i.exec(line.trimEnd()));
  const digest = lines.find((line) => line?.[2] === name)?.[1];
  if (digest === undefined) throw unverified(`${file} does not list it`);
  return digest;
}

async function unpack(path: string, archive: Buffer, signal: AbortSignal | undefined): Promise<Buffer> {
  try {
    if (archive[0] === 0x1f && archive[1] === 0x8b)
      return gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES });
    return await unpackXz(archive, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const why = isMissing ? 'the program xz is not here: take the .tar.gz' : 'it cannot be unpacked';
    throw unusable(path, why, cause);
  }
}

/** Node.js has no xz of its own; every Linux and macOS does. */
async function unpackXz(archive: Buffer, signal: AbortSignal | undefined): Promise<Buffer> {
  const running = promisify(execFile)('xz', ['--decompress', '--stdout', '--format=xz'], {
    encoding: 'buffer',
    maxBuffer: MAX_UNPACKED_BYTES,
    timeout: UNPACK_MS,
    signal,
  });
  // What it says when it ends before it has read all is the result's to say.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(archive);
  return (await running).stdout;
}

function findProgram(
  path: string,
  tar: Buffer,
  machine: string,
): { readonly version: string; readonly program: Uint8Array } {
  for (const file of filesOf(path, tar)) {
    const [, version, of] = /^node-v(\d+\.\d+\.\d+)-linux-([\w-]+)\/bin\/node$/.exec(file.path) ?? [];
    if (version === undefined) continue;
    if (of !== machine) throw unusable(path, `it is for ${of}, the board is ${machine}`);
    const [major, minor] = version.split('.').map(Number);
    const [leastMajor, leastMinor] = LEAST_VERSION;
    if (major < leastMajor || (major === leastMajor && minor < leastMinor))
      throw unusable(
        path,
        `it is version ${version}, and the agent needs ${LEAST_VERSION.join('.')} or later`,
      );
    // The archive need not stay in memory for it.
    return { version, program: new Uint8Array(file.bytes) };
  }
  throw unusable(path, 'it has no node-vX.Y.Z-linux-ARCH/bin/node');
}

function* filesOf(path: string, tar: Buffer): Generator<TarFile> {
  try {
    yield* readTar(tar);
  } catch (cause) {
    throw unusable(path, 'it cannot be unpacked', cause);
  }
}

function isElfOf(program: Uint8Array, machine: number): boolean {
  const header = Buffer.from(program.buffer, program.byteOffset, Math.min(program.length, 20));
  return header.length === 20 && header.readUInt32BE(0) === 0x7f454c46 && header.readUInt16LE(18) === machine;
}

function unusable(path: string, why: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('DEPLOY_NODE_ARCHIVE', `${path} cannot be used: ${why}.`, {
    cause,
    context: { path },
  });
}
