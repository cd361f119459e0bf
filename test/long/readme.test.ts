import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { freePort } from '../system/support/free-port.js';
import { commands, wordsOf } from '../system/support/readme.js';

const home = temporaryDirectory();
const env = { ...process.env, PYNQ_LLM_HOME: home.path };
const agents: ChildProcess[] = [];
/** The README's ports may be taken here. */
const ports = new Map([
  [/\b8080\b/g, `${await freePort()}`],
  [/\b8090\b/g, `${await freePort()}`],
  [/\b7787\b/g, `${await freePort()}`],
]);

afterAll(() => {
  for (const agent of agents) agent.kill();
  home[Symbol.dispose]();
});

// npm test has the first two.
describe('README', () => {
  it.each(commands.slice(2))('%s', async (shown) => {
    const command = [...ports].reduce((text, [port, free]) => text.replace(port, free), shown);
    const [program, name, ...rest] = wordsOf(command);
    if (program === 'curl') return curl([name!, ...rest]);
    expect([program, name]).toEqual(['npx', 'pynq-llm']);
    if (/^(?:agent|serve|fleet up) /.test(`${rest.join(' ')} `)) return startServer(rest);
    const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...rest], {
      env,
      timeout: 120_000,
    });
    expect(stdout.length).toBeGreaterThan(20);
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
