// Compiles on every save, until Ctrl-C: TypeScript by tsc, and what tsc leaves alone: AssemblyScript, and the shell scripts and units of
// sdk/. Only into dist/, and the .wasm files also beside their sources.
import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import buildWasm, { ASSEMBLY_FOLDERS } from './build-wasm.mjs';
import copyShell from './copy-shell.mjs';

/** Editors write a file in several steps. */
const SETTLE_MS = 100;

let building = Promise.resolve();
let timer;
await rebuild();
const rebuildSoon = () => {
  clearTimeout(timer);
  timer = setTimeout(rebuild, SETTLE_MS);
};
for (const folder of ASSEMBLY_FOLDERS) watch(folder, rebuildSoon);
watch('sdk', { recursive: true }, rebuildSoon);

const tsc = spawn(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--watch', '--preserveWatchOutput'],
  { stdio: 'inherit' },
);
// Ctrl-C reaches tsc, too.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => tsc.kill());
tsc.on('exit', (status) => process.exit(status ?? 0));

/** One build after the other; one that fails waits for the next save. */
function rebuild() {
  building = building
    .then(() => buildWasm())
    .then(copyShell)
    .catch((error) => console.error(error.message));
  return building;
}
