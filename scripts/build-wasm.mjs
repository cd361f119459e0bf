// Compiles the folders' assembly/*.ts entries (AssemblyScript) to dist/<folder>/<name>.wasm where their sources are newer. Tests do
// so before they run: tsc, which compiles all else, leaves these alone, and new code on old kernels computes nonsense.
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const modules = [
  { entry: 'mock-device/assembly/core.ts', out: 'dist/mock-device/core.wasm' },
  { entry: 'mock-device/assembly/probe.ts', out: 'dist/mock-device/probe.wasm' },
  { entry: 'llm/kernels/assembly/kernels.ts', out: 'dist/llm/kernels/kernels.wasm' },
];

if (process.argv[1] === import.meta.filename) await buildWasm();

export default async function buildWasm() {
  for (const { entry, out } of modules) {
    if (existsSync(entry) && !isNewer(out, dirname(entry))) await compile(entry, out);
  }
}

async function compile(entry, out) {
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
    '--use',
    'abort=',
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}

function isNewer(out, sources) {
  if (!existsSync(out)) return false;
  const built = statSync(out).mtimeMs;
  return [import.meta.filename, ...readdirSync(sources).map((name) => join(sources, name))].every(
    (file) => statSync(file).mtimeMs < built,
  );
}
