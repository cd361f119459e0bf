import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../cli/program.js';
import { commands, readme, wordsOf } from './support/readme.js';

const home = mkdtempSync(join(tmpdir(), 'readme-'));
const env = { ...process.env, PYNQ_LLM_HOME: home };

afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

describe('README', () => {
  it('the two commands of "Try it" are npm scripts, and the test command is what CI runs', () => {
    expect(commands.slice(0, 2)).toEqual(['npm ci && npm start', 'npm cit']);
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test', 'prepare']));
    expect(readFileSync('.ci/run', 'utf8')).toMatch(/^npm cit$/m);
  });

  it('npm start streams a story and ends with what it cost', async () => {
    // A seed of its own: one story in 400 ends before 50 words.
    const start = ['start', '--', '--seed', '1'];
    const { stdout, stderr } = await promisify(execFile)('npm', start, { env, timeout: 120_000 });
    expect(stdout.split(' ').length).toBeGreaterThan(50);
    expect(stderr).toMatch(
      /tokens\/s[\s\S]*core cycles[\s\S]*bytes moved[\s\S]*register accesses[\s\S]*multiply-adds on the core/,
    );
  });

  // test/long runs them.
  it.each(commands.slice(2).filter((command) => !command.startsWith('curl')))('%s', (command) => {
    const [program, name, ...args] = wordsOf(command);
    expect([program, name]).toEqual(['npx', 'pynq-llm']);
    const named = (of: Command) => of.commands.find((one) => one.name() === args[0]);
    let subcommand = createProgram();
    for (let next = named(subcommand); next !== undefined; next = named(next)) {
      subcommand = next;
      args.shift();
    }
    expect(subcommand.commands).toEqual([]);
    const { operands, unknown } = subcommand.parseOptions(args);
    expect(unknown).toEqual([]);
    expect(operands.length).toBeLessThanOrEqual(subcommand.registeredArguments.length);
  });

  it('its program has no type syntax: it runs as .mjs with plain Node.js, and as .ts without its types', async () => {
    const source = /```js\n([\s\S]*?)```/.exec(readme)![1]!;
    expect(source).toMatch(/try \{[\s\S]*finally/);
    expect(await runProgram(source, 'mjs')).toMatch(/\w+ \w+[\s\S]*registerReads/);
    // What a runner makes of it is the same program.
    expect(transpiled(source).replaceAll(/\s+/g, '')).toBe(source.replaceAll(/\s+/g, ''));
  });

  it('its program with `await using` runs compiled', async () => {
    const source = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
    expect(source).toContain('await using');
    expect(await runProgram(transpiled(source), 'mjs')).toMatch(/^\d+ models on PYNQ-Z1/);
  });
});

function transpiled(source: string): string {
  return ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  }).outputText;
}

/** Inside the package, so that `pynq-llm` means this package. */
async function runProgram(source: string, extension: string): Promise<string> {
  mkdirSync('dist/test/tmp', { recursive: true });
  const file = `dist/test/tmp/readme-${process.pid}.${extension}`;
  writeFileSync(file, source);
  try {
    return (await promisify(execFile)(process.execPath, [file], { env, timeout: 120_000 })).stdout;
  } finally {
    rmSync(file);
  }
}
