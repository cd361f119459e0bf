// Compiles the folders' assembly/*.ts entries (AssemblyScript) where their sources are newer: to dist/<folder>/<name>.wasm, and beside the
// sources, where tests that run from TypeScript look for them. Tests do so before they run: tsc, which compiles all else, leaves
// these alone, and new code on old kernels computes nonsense.
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const modules = [
  { entry: 'quantize/assembly/quantize.ts', out: 'quantize/quantize.wasm' },
  { entry: 'driver/packed/assembly/weights.ts', out: 'driver/packed/weights.wasm' },
  { entry: 'mock-device/assembly/core.ts', out: 'mock-device/core.wasm' },
  { entry: 'mock-device/assembly/probe.ts', out: 'mock-device/probe.wasm' },
  // Threads share its memory, whose size is known when it is made: a smallest size spares bounds checks of constant addresses.
  {
    entry: 'llm/kernels/assembly/kernels.ts',
    out: 'llm/kernels/kernels.wasm',
    flags: ['--enable', 'threads', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
  },
];

/** What several modules share. */
const SHARED = 'gguf/assembly';

/** Folders whose files are compiled. */
export const ASSEMBLY_FOLDERS = [SHARED, ...new Set(modules.map(({ entry }) => dirname(entry)))];

if (process.argv[1] === import.meta.filename) {
  try {
    await buildWasm();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

/**
 * @param project vitest's, where this is its global setup: a watch compiles again before it tests again
 * @throws Error with what the compiler says
 */
export default async function buildWasm(project) {
  for (const { entry, out, flags = [] } of modules) {
    if (!existsSync(entry)) continue;
    const built = join('dist', out);
    if (!isNewer(built, dirname(entry))) await compile(entry, built, flags);
    if (!existsSync(out) || statSync(out).mtimeMs < statSync(built).mtimeMs) copyFileSync(built, out);
  }
  project?.onTestsRerun(() => buildWasm());
}

async function compile(entry, out, flags) {
  const { default: asc } = await import('assemblyscript/asc');
  mkdirSync(dirname(out), { recursive: true });
  const { error, stderr } = await asc.main([
    entry,
    '--outFile',
    out,
    '-O3',
    '--noAssert',
    '--converge',
    '--runtime',
    'stub',
    '--enable',
    'simd',
    '--enable',
    'relaxed-simd',
    '--importMemory',
    ...flags,
    '--use',
    'abort=',
  ]);
  if (error) throw new Error(`${entry} does not compile:\n${stderr.toString()}`);
}

function isNewer(out, sources) {
  if (!existsSync(out)) return false;
  const built = statSync(out).mtimeMs;
  const files = [SHARED, sources].flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  return [import.meta.filename, ...files].every((file) => statSync(file).mtimeMs < built);
}
