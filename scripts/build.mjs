// Builds dist/. TypeScript and AssemblyScript are compiled side by side, each where something changed; the bundle is made of both.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import copyShell from './copy-shell.mjs';
import dropMapComments from './drop-map-comments.mjs';

const compiled = await Promise.all([
  run('node_modules/typescript/bin/tsc', '-b'),
  run('scripts/build-wasm.mjs'),
]);
if (compiled.every(Boolean)) {
  copyShell();
  dropMapComments();
  await import('./build-bundle.mjs');
} else {
  process.exitCode = 1;
}

/** @returns whether the program, which says itself what it dislikes, ended well */
async function run(...args) {
  const [status] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
  return status === 0;
}
