// Runs `--help` of the program and of every command (and subcommand) that its help lists; fails on the first that does not answer.
import { execFileSync } from 'node:child_process';

const main = new URL('../dist/cli/main.js', import.meta.url).pathname;
let commands = 0;
smoke([]);
console.log(`smoke: ${commands} help pages`);

function smoke(path) {
  const help = execFileSync(process.execPath, [main, ...path, '--help'], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (!help.startsWith('Usage: pynq-llm'))
    throw new Error(`pynq-llm ${path.join(' ')} --help printed: ${help}`);
  commands += 1;
  // Groups of commands have headings of their own; flags begin with a dash, examples with the program's name.
  const listed = help
    .split(/\n(?=[A-Z][^\n]*:\n)/)
    .filter((part) => !/^(Usage|Arguments|Examples|Global Options):/.test(part));
  for (const [, name] of listed.join('\n').matchAll(/^ {2}([a-z][a-z-]*)(?= )/gm))
    if (name !== 'help') smoke([...path, name]);
}
