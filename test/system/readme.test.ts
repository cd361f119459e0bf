import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import { freePort } from './support/free-port.js';

const readme = readFileSync('README.md', 'utf8');
const home = mkdtempSync(join(tmpdir(), 'readme-'));
const env = { ...process.env, PYNQ_LLM_HOME: home };
const agents: ChildProcess[] = [];
/** The README's ports may be taken here. */
const ports = new Map([
  [/\b8080\b/g, `${await freePort()}`],
  [/\b7787\b/g, `${await freePort()}`],
]);

afterAll(() => {
  for (const agent of agents) agent.kill();
  rmSync(home, { recursive: true, force: true });
});

const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
  block!.trim().split('\n'),
);

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

  it.each(commands.slice(2))('%s', async (shown) => {
    const command = [...ports].reduce((text, [port, free]) => text.replace(port, free), shown);
    const [program, name, ...rest] = [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
      ([, double, single, bare]) => double ?? single ?? bare!,
    );
    if (program === 'curl') return curl([name!, ...rest]);
    expect([program, name]).toEqual(['npx', 'pynq-llm']);
    if (rest[0] === 'agent' || rest[0] === 'serve') return startServer(rest);
    const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...rest], {
      env,
      timeout: 120_000,
    });
    expect(stdout.length).toBeGreaterThan(20);
  });

  it('the TypeScript example runs as it stands', async () => {
    const source = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    // Inside the package, so that `pynq-llm` means this package.
    mkdirSync('dist/test/tmp', { recursive: true });
    const file = `dist/test/tmp/readme-${process.pid}.mjs`;
    writeFileSync(file, outputText);
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [file], { env, timeout: 120_000 });
      expect(stdout).toMatch(/\w+ \w+[\s\S]*registerReads/);
    } finally {
      rmSync(file);
    }
  });
});

/** Lets curl fail on an error's status too. */
async function curl(args: readonly string[]): Promise<void> {
  const { stdout } = await promisify(execFile)('curl', ['--fail-with-body', ...args], { timeout: 120_000 });
  expect(stdout).toMatch(/"choices"|"object"/);
}

/** The README's agent and HTTP server stay for the commands after them. */
async function startServer(args: readonly string[]): Promise<void> {
  const agent = spawn(process.execPath, ['dist/cli/main.js', ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  agents.push(agent);
  await new Promise<void>((resolve, reject) => {
    agent.stdout.once('data', () => resolve());
    agent.once('exit', (code) => reject(new Error(`the agent ended with ${code}`)));
  });
}
