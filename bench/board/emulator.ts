import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isPynqLlmError } from '../../errors/index.js';
import { boardNode } from '../../sdk/board-node.js';

/** Where Debian's cross packages put the C library of armv7. */
const ARMV7_SYSROOT = '/usr/arm-linux-gnueabihf';
const EMULATOR = 'qemu-arm';
const COUNTER = fileURLToPath(new URL('./count.c', import.meta.url));

/** V8 compiles on the thread that runs: when code is compiled then follows from how often it ran, not from how busy this machine is. */
const COMPILE_IN_PLACE = ['--no-concurrent-recompilation'];
/** WebAssembly is compiled for good at once. */
const WASM_AT_ONCE = ['--no-liftoff', '--no-wasm-dynamic-tiering'];

/** Something that is not installed here, and where it comes from. */
export interface Missing {
  readonly missing: string;
}

/** Runs programs for a Cortex-A9 and counts their instructions. */
export interface CountingEmulator {
  /** The start of the command line that runs a program so. @param counts the file that the counts go to */
  commandOf(counts: string): readonly string[];
  /**
   * @param counts the file that the counts go to
   * @returns what the program printed
   */
  run(program: string, args: readonly string[], counts: string, timeoutMs: number): Promise<string>;
}

/** The first library of another processor that Node needs and that is not here. */
export function missingLibrary(machine: string, sysroot: string, loader: string): string | undefined {
  const libraries = [loader, 'libstdc++.so.6', 'libatomic.so.1'];
  const library = libraries.find((name) => !existsSync(join(sysroot, 'lib', name)));
  return library && `${library} of ${machine} is not in ${sysroot}`;
}

/** What npm could not fetch of a board's runtime; rethrows other errors: other bytes than pinned are no reason to skip. */
export function notFetched(error: unknown): Missing {
  if (isPynqLlmError(error, 'DEPLOY_RUNTIME') && error.what.includes('npm could not fetch it'))
    return { missing: error.what };
  throw error;
}

/** @throws Error where the counter does not compile */
export async function openEmulator(): Promise<CountingEmulator | Missing> {
  if (spawnSync(EMULATOR, ['--version']).status !== 0)
    return { missing: `${EMULATOR} is not installed (Debian: qemu-user)` };
  if (spawnSync('gcc', ['--version']).status !== 0) return { missing: 'gcc is not installed' };
  const library = missingLibrary('armv7', ARMV7_SYSROOT, 'ld-linux-armhf.so.3');
  if (library !== undefined)
    return {
      missing: `${library} (Debian: libc6-armhf-cross, libstdc++6-armhf-cross, libatomic1-armhf-cross)`,
    };
  const node = await findNode();
  if (typeof node !== 'string') return node;
  const plugin = await buildCounter();
  const commandOf = (counts: string) => [
    ...[EMULATOR, '-cpu', 'cortex-a9', '-L', ARMV7_SYSROOT, '-plugin', `${plugin},out=${counts}`],
    ...[node, ...COMPILE_IN_PLACE],
  ];
  return {
    commandOf,
    async run(program, args, counts, timeoutMs) {
      const [emulator, ...emulated] = [...commandOf(counts), ...WASM_AT_ONCE];
      const options = { timeout: timeoutMs, maxBuffer: 2 ** 24 };
      const { stdout } = await promisify(execFile)(emulator!, [...emulated, program, ...args], options);
      return stdout;
    },
  };
}

/** A board's own Node; one that could not be fetched is missing, one with other bytes than pinned is an error. */
async function findNode(): Promise<string | Missing> {
  try {
    return (await boardNode('armv7l')) ?? { missing: 'no release brings a Node for armv7' };
  } catch (error) {
    return notFetched(error);
  }
}

/** Compiles count.c, once for each content of it. */
async function buildCounter(): Promise<string> {
  const { XDG_CACHE_HOME: cache } = process.env;
  const folder = join(
    cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'),
    'pynq-llm-bench',
  );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const digest = createHash('sha256').update(readFileSync(COUNTER)).digest('hex').slice(0, 16);
  const plugin = join(folder, `count-${digest}-${process.arch}.so`);
  if (existsSync(plugin)) return plugin;
  const partial = `${plugin}.${process.pid}`;
  await promisify(execFile)('gcc', ['-O2', '-Wall', '-Wextra', '-shared', '-fPIC', '-o', partial, COUNTER]);
  renameSync(partial, plugin);
  return plugin;
}
