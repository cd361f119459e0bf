import { readFileSync } from 'node:fs';
import { quote } from './quote.js';

/** Values of a script by the names of its variables, in capitals. */
export type ScriptValues = Readonly<Record<string, string | number>>;

/**
 * A file beside a module, in TypeScript's folders and, copied by the build, in dist/.
 * @param module its `import.meta.url`; where a bundler makes CommonJS of it there is none, nor a file
 */
export function fileBeside(name: string, module: string | undefined): URL {
  return new URL(name, module ?? 'file:///files-beside-modules-are-not-in-a-bundle/');
}

/**
 * A POSIX shell script made of files, the one after the other, with values before them. Each value is one quoted word
 * that is assigned to a variable: nothing in it is read as shell, and the files are sent as they are.
 * @param files beside the module that names them, in TypeScript's folders and, copied by the build, in dist/
 */
export function shellScript(files: readonly URL[], values: ScriptValues = {}): string {
  const assignments = Object.entries(values).map(([name, value]) => `${name}=${quote(`${value}`)}\n`);
  return [...assignments, ...files.map((file) => readFileSync(file, 'utf8'))].join('');
}

/** The command line that runs a script with `sh`, whatever shell the user has who logs in. */
export function shellCommand(script: string, words: readonly string[] = []): string {
  return ['sh', '-c', script, 'pynq-llm', ...words].map(quote).join(' ');
}
