import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { type BoardShell, LOGIN } from './board-shell.js';

const CURRENT = '/opt/pynq-llm/current';
/** A release but for its programs; the agent's user can read it, too. */
const FOLDER = '/run/pynq-llm-test';
/** Where programs are, and files for them may be put. */
export const PROGRAMS = `${FOLDER}/agent`;

/**
 * Puts a program of this suite onto the board, where it runs with the Node, WebAssembly and koffi of the active release.
 *
 * @param path of the compiled program in dist/
 * @param folder here, for the bundled program
 * @returns the start of its command line on the board
 */
export async function sendProgram(shell: BoardShell, path: string, folder: string): Promise<string> {
  const name = path.split('/').at(-1)?.replace('.js', '.mjs') ?? '';
  const bundled = join(folder, name);
  await build({
    entryPoints: [resolve(path)],
    outfile: bundled,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
  });
  const links = [
    `ln -sfn ${CURRENT}/boards ${CURRENT}/node_modules ${FOLDER}`,
    `ln -sf ${CURRENT}/agent/*.wasm ${PROGRAMS}`,
  ];
  await shell.sudo(`install -d -o ${LOGIN.user} ${FOLDER} ${PROGRAMS} && ${links.join(' && ')}`);
  await shell.send(readFileSync(bundled), `${PROGRAMS}/${name}`);
  return `${CURRENT}/bin/node ${PROGRAMS}/${name}`;
}
