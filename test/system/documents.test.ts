import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command, Option } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { EXAMPLES } from '../../cli/examples.js';
import { createProgram } from '../../cli/program.js';
import { temporaryDirectory } from './support/agent.js';
import { commandsIn, documents } from './support/documents.js';
import { wordsOf } from './support/readme.js';

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
const program = createProgram();
/** In capitals stands what a reader fills in. */
const isPlaceholder = (word: string) => /[A-Z]{2}|^[A-Z]$|[<[]/.test(word);

/** Follows the words from command to command and judges every flag. @returns what is wrong */
function wrongWith(words: readonly string[]): string | undefined {
  let command: Command = program;
  let operands = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const child = operands === 0 ? command.commands.find((one) => one.name() === word) : undefined;
    if (child !== undefined) command = child;
    else if (word === '-' || !word.startsWith('-')) operands++;
    else if (!['--help', '-h', '--version', '-V'].includes(word)) {
      const [flag, attached] = word.split(/=(.*)/s);
      const find = (one: Command) => one.options.find(({ short, long }) => flag === short || flag === long);
      // A command's flags may be those of what it does unless told otherwise: `models` lists.
      const option = find(command) ?? command.commands.filter((one) => one.name() === 'list').map(find)[0];
      if (option === undefined) return `${command.name()} has no ${flag}`;
      if (!option.required && !option.optional) continue;
      const value = attached ?? words[++i];
      if (value === undefined) return option.required ? `${flag} needs a value` : undefined;
      const bad = wrongValue(option, value);
      if (bad !== undefined) return bad;
    }
  }
  if (command === program && words.length > 0 && !words[0]!.startsWith('-') && !isPlaceholder(words[0]!))
    return `there is no command ${words[0]}`;
  const { registeredArguments } = command;
  const most = registeredArguments.some(({ variadic }) => variadic)
    ? Number.POSITIVE_INFINITY
    : registeredArguments.length;
  return command !== program && operands > most ? `${command.name()} takes ${most} arguments` : undefined;
}

function wrongValue(option: Option, value: string): string | undefined {
  if (isPlaceholder(value) || /[|]/.test(value)) return undefined;
  try {
    option.parseArg?.(value, option.defaultValue);
    return undefined;
  } catch (error) {
    return `${option.flags} ${value}: ${error instanceof Error ? error.message : error}`;
  }
}

/** @returns what is wrong with a command of a document */
function wrong(command: string): string | undefined {
  const words = wordsOf(command);
  if (words[0] === 'npx') words.shift();
  const [name, first = '', second] = words;
  if (name === 'pynq-llm') return wrongWith(words.slice(1));
  if (name === 'npm') {
    const script = first === 'run' ? second! : first;
    if (
      [
        'ci',
        'cit',
        'install',
        'pack',
        'view',
        'exec',
        'publish',
        'version',
        'outdated',
        'audit',
        'ping',
        'config',
      ].includes(script)
    )
      return undefined;
    return isPlaceholder(script) || scripts[script] !== undefined
      ? undefined
      : `package.json has no script ${script}`;
  }
  if (name === 'node') {
    const file = words.slice(1).find((word) => !word.startsWith('-'));
    if (file === undefined || isPlaceholder(file) || !/\.(mjs|js|cjs)$/.test(file) || !file.includes('/'))
      return undefined;
    const source = file.replace(/^dist\/(.*)\.js$/, '$1.ts');
    return existsSync(file) || existsSync(source) ? undefined : `there is no ${file}`;
  }
  if (name === 'vitest') {
    const missing = words.filter(
      (word) => word.startsWith('dist/test/') && !existsSync(word.replace(/^dist\/(.*)\.js$/, '$1.ts')),
    );
    return missing.length === 0 ? undefined : `there is no ${missing[0]}`;
  }
  return undefined;
}

describe('every command in a document', () => {
  const all = [...documents()].flatMap(([path, text]) =>
    commandsIn(text).map((command) => [path, command] as const),
  );

  it('is found', () => {
    expect(all.length).toBeGreaterThan(150);
    expect(all.map(([, command]) => command)).toEqual(
      expect.arrayContaining(['npx pynq-llm selftest', 'npm cit']),
    );
  });

  it('is one that there is, with its flags and values', () => {
    const bad = all.flatMap(([path, command]) => {
      const why = wrong(command);
      return why === undefined ? [] : [`${path}: ${command}: ${why}`];
    });
    expect(bad).toEqual([]);
  });

  it.each([
    ['pynq-llm runn', 'there is no command runn'],
    ['pynq-llm run --temp hot', /must be a number/],
    ['pynq-llm run --tmep 1', 'run has no --tmep'],
    ['pynq-llm upload a.gguf b.gguf', 'upload takes 1 arguments'],
    ['npm run bench', 'package.json has no script bench'],
    ['npx vitest run dist/test/unit/none.test.js', 'there is no dist/test/unit/none.test.js'],
    ['node dist/none.js', 'there is no dist/none.js'],
  ])('would be seen to be wrong: %s', (command, why) => {
    expect(wrong(command)).toMatch(why);
  });
});

describe('examples in --help', () => {
  it.each(Object.entries(EXAMPLES).flatMap(([name, lines]) => lines.map((line) => [name, line] as const)))(
    '%s: %s',
    (name, line) => {
      const commands = commandsIn(`\`\`\`sh\n${line}\n\`\`\``).filter((one) => one.includes('pynq-llm'));
      expect(commands.length).toBeGreaterThan(0);
      for (const command of commands) expect(wrong(command)).toBeUndefined();
      const command = name === '' ? program : program.commands.find((one) => one.name() === name);
      expect(command).toBeDefined();
    },
  );
});

describe('the walk through the SDK', () => {
  const home = temporaryDirectory();
  const folder = join('dist', 'test', 'tmp', `walk-${process.pid}`);
  afterAll(() => {
    home[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  const guide = readFileSync('docs/sdk.md', 'utf8');
  const programs = [...guide.matchAll(/^## \d+\. ([^\n]*)|^```js\n([\s\S]*?)^```/gm)];
  const named: { title: string; source: string }[] = [];
  let title = '';
  for (const [, heading, source] of programs) {
    if (heading !== undefined) title = heading;
    else named.push({ title: `${title} ${named.length + 1}`, source: source! });
  }
  /** What each program has to say, in the order of the document. */
  const said = [
    /^.{40,}\n$/s,
    /^[0-9a-f]{8} 1940800 bytes\ntiny-stories with 3 layers and a context of 128\nDMA memory +MiB\n[\s\S]*stories loaded\n\[[\s\S]*\] "\s?Hello there\."\n$/,
    /^.{10,}\nmax-tokens \d+ \+ 12 tokens, \d\.\d{3} s of the core\ncancelled after at least 5 tokens\nlog-probabilities - -\d/s,
    /^true max-tokens 20 tokens, 8 of them from before\n$/,
    /^compute was computing in (?!0\.0)\d+\.\d % of all cycles\n[1-9]\d* DMA transfers, [1-9]\d* register reads\ntrue true\n$/,
    /^dma0\.MM2S_DMASR 0x[0-9a-f]+ .*HALTED=.*\n0x[0-9a-f]+ \[ 0, 1, 2, 3, 4, 0 \]\n$/i,
    /^of 40 results the worst is off by 0\.\d+\nminus two times the input gives -2\.000 times the result\n[1-9]\d+ cycles: \d+ µs\n$/,
    /^DRIVER_UNKNOWN_REGISTER dma0\.MM2S_DMASRR\n\[PL2005 DRIVER_UNKNOWN_REGISTER\].*Did you mean "dma0\.MM2S_DMASR"\?.*\n$/,
  ];

  it('has a program for each expectation', () => {
    expect(named).toHaveLength(said.length);
  });

  it.each(named.map((one, i) => ({ ...one, expected: said[i]! })))('$title', async ({ source, expected }) => {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${said.indexOf(expected)}.mjs`);
    writeFileSync(file, source);
    const env = { ...process.env, PYNQ_LLM_HOME: home.path, NO_COLOR: '1' };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { env, timeout: 100_000 });
    expect(stdout).toMatch(expected);
    expect(stderr).toBe('');
  });
});
