// Bundles the agent with all it imports to dist/bundle/, which runs on a board without node_modules:
// agent/main.mjs, its workers and the program that programs the FPGA beside it. Releases get WebAssembly beside them, and board descriptions and a model above.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const dist = 'dist';
const out = join(dist, 'bundle');
const agent = join(out, 'agent');
const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));

const boards = readdirSync('boards')
  .filter((file) => file.endsWith('.toml'))
  .map((file) => `boards/${file}`);

rmSync(out, { recursive: true, force: true });
await build({
  // Workers keep the names that they are started by.
  entryPoints: [
    { in: `${dist}/cli/agent-main.js`, out: 'main' },
    { in: `${dist}/cli/fleet-key-main.js`, out: 'fleet-key' },
    { in: `${dist}/agent/worker/worker.js`, out: 'worker' },
    { in: `${dist}/agent/worker/program-worker.js`, out: 'program-worker' },
    { in: `${dist}/llm/threads/thread-worker.js`, out: 'thread-worker' },
    { in: `${dist}/firmware-bridge/start-logic-main.js`, out: 'start-logic' },
  ],
  outdir: agent,
  bundle: true,
  // What several of them use is written once, beside them.
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.11',
  // Names stay readable: the board's log holds stacks.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  // koffi finds its native part by itself and is only loaded for devices of Linux; msgpackr's optional accelerator is native.
  external: ['koffi', 'msgpackr-extract'],
  // CommonJS packages inside an ES module look for these names.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';import{fileURLToPath as __toPath}from'node:url';const require=__createRequire(import.meta.url),__filename=__toPath(import.meta.url),__dirname=__toPath(new URL('.',import.meta.url));",
  },
  logLevel: 'warning',
});
renameSync(join(agent, 'main.js'), join(agent, 'main.mjs'));
// What the package has anyway is not copied: a release takes it from there (sdk/deploy/release.ts), by place in the release.
const shared = Object.fromEntries([
  ...[
    'driver/packed/weights.wasm',
    'mock-device/core.wasm',
    'mock-device/probe.wasm',
    'llm/kernels/kernels.wasm',
  ].map((file) => [`agent/${basename(file)}`, `dist/${file}`]),
  ...['models/tiny-stories-Q3_K_M.gguf', ...boards].map((file) => [file, file]),
]);
writeFileSync(
  join(out, 'package.json'),
  `${JSON.stringify({ name, version, type: 'module', private: true, shared })}\n`,
);
