import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { expectError, modelOf } from './support/bad-input.js';
import { type CliOptions, cli, cliAgent } from './support/cli.js';

const directory = temporaryDirectory();
const home = join(directory.path, 'home');
const run = (args: readonly string[], options: Partial<CliOptions> = {}) => cli(args, { home, ...options });
const path = (name: string) => join(directory.path, name);

afterAll(() => directory[Symbol.dispose]());

// test/long has more files and requests that cannot be met.
describe.concurrent('wrong usage ends with status 2 and names the flag', () => {
  it.each([
    [['run', '--bogus'], '--bogus'],
    [['run', '--max-tokens', 'many'], '--max-tokens'],
    [['run', '--n-predict', '0'], '--n-predict'],
    [['run', '--temp', '-1'], '--temp'],
    [['run', '--top-p', '1.5'], '--top-p'],
    [['run', '--seed', '-3'], '--seed'],
    [['run', '--logit-bias', '15'], '--logit-bias'],
    [['run', '--ctx-size', '0'], '--ctx-size'],
    [['run', 'text', '--prompt', 'another'], '--prompt'],
    [['run', '--system', 'no chat'], '--system'],
    [['run', '--model'], '--model'],
    [['score', '--tokens', '1,x'], '--tokens'],
    [['score', 'text', '--tokens', '1'], '--tokens'],
    [['score', 'text', '--top', '65'], '--top'],
    [['regs', '--write', 'hwc.RESET'], '--write'],
    [['agent', '--log-level', 'loud'], '--log-level'],
    [['models', 'frobnicate'], 'frobnicate'],
    [['upload'], 'file'],
    [['frobnicate'], 'frobnicate'],
  ])('%j', async (args, flag) => {
    const result = await run(args);
    expect(result.stderr).toContain(flag);
    expect(result.stderr).not.toMatch(/^ {4}at /m);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status: 2, stdout: '' });
  });
});

describe.concurrent('a model that cannot be used', () => {
  beforeAll(() => {
    const good = readFileSync(TINY_MODEL);
    writeFileSync(path('truncated.gguf'), good.subarray(0, good.length >> 1));
    writeFileSync(path('unknown-architecture.gguf'), modelOf('mamba'));
  });

  it.each([
    ['truncated.gguf', 'GGUF_\\w+'],
    ['unknown-architecture.gguf', 'LLM_\\w*ARCHITECTURE\\w*'],
    ['missing.gguf', 'CLI_MODEL_UNKNOWN'],
  ])('%s', async (name, code) => {
    const result = await run(['run', 'Once', '-m', path(name)]);
    expectError(result, code);
    expect(result.milliseconds).toBeLessThan(30_000);
  });
});

describe.concurrent('a request that cannot be met', () => {
  it.each([
    ['a prompt longer than the context', ['run', 'word '.repeat(700)], 'LLM_PROMPT_TOO_LONG'],
    ['an unknown register', ['regs', 'dma0.NOPE'], 'DRIVER_UNKNOWN_REGISTER'],
    ['a device that is none', ['run', '-d', 'ftp://x'], 'SDK_URL'],
    ['a fault that is none', ['run', '-d', 'mock:?fault=nope'], 'AGENT_DEVICE_URL'],
    ['an agent that is not there', ['run', '-d', 'ws://127.0.0.1:9'], 'SDK_CONNECT_FAILED'],
    ['a socket that is not there', ['run', '-d', 'unix:/nowhere/agent.sock'], 'SDK_CONNECT_FAILED'],
    ['a prompt file that is not there', ['run', '-f', path('nope.txt')], 'CLI_FILE_UNREADABLE'],
    ['a text that is not there', ['perplexity', path('nope.txt')], 'CLI_FILE_UNREADABLE'],
    ['a trace in a folder that is not there', ['trace', 'record', path('no/x')], 'CLI_FILE_UNWRITABLE'],
    ['a listen address that is none', ['agent', '--listen', 'nowhere'], 'AGENT_\\w+'],
  ])('%s', async (_, args, code) => {
    expectError(await run(args), code);
  });

  it('a name with a line break and terminal codes still makes one line', async () => {
    expectError(await run(['run', '-m', 'two\nlines\u001b[31m']), 'CLI_MODEL_UNKNOWN');
  });
});

it.concurrent('a device with a fault', async () => {
  // Twice: a step is tried again once.
  const result = await run(['run', 'Once', '-d', 'mock:?fault=core-stuck:0:2']);
  expectError(result, 'DRIVER_\\w+');
  expect(result.milliseconds).toBeLessThan(30_000);
});

describe.concurrent('an agent', () => {
  it('that is killed during a run is waited for until Ctrl-C; what came before is kept', async () => {
    await using agent = await cliAgent(path('killed-store'));
    const result = await run(['run', 'Once upon a time', '-n', '480', '--ignore-eos', '-d', agent.url], {
      onOutput: () => agent.child.kill('SIGKILL'),
      onError: (text, child) => {
        if (text.includes('Trying again')) child.kill('SIGINT');
      },
    });
    const [notice] = result.stderr.split('\n');
    expect(notice).toMatch(/^pynq-llm: The connection to ws:.+ broke: .+ Trying again for 15 s\.$/);
    expect(result.stdout.length).toBeGreaterThan(0);
    expect(result.status).toBe(130);
  });

  it('with tokens lets nobody in without one, and readers only read', async () => {
    const tokens = path('tokens');
    writeFileSync(tokens, 'read reader-token-0123456789\nadmin admin-token-0123456789\n', { mode: 0o600 });
    await using agent = await cliAgent(path('token-store'), 'mock:', ['--token-file', tokens]);
    const regs = (...more: string[]) => run(['regs', 'dma0.MM2S_SA', '-d', agent.url, ...more]);
    expectError(await regs(), 'AGENT_UNAUTHORISED');
    expectError(await regs('--token', 'another-token-0123456789'), 'AGENT_UNAUTHORISED');
    const env = { PYNQ_LLM_TOKEN: 'reader-token-0123456789' };
    expect((await run(['regs', 'dma0.MM2S_SA', '-d', agent.url], { env })).status).toBe(0);
    const write = ['regs', '--write', 'dma0.MM2S_SA=0', '-d', agent.url];
    expectError(await run(write, { env }), 'PROTOCOL_ROLE_REQUIRED');
    expect((await run(write, { env: { PYNQ_LLM_TOKEN: 'admin-token-0123456789' } })).status).toBe(0);
  });

  it.skipIf(process.platform === 'win32')('says that its token file is open to others', async () => {
    const tokens = path('open-tokens');
    writeFileSync(tokens, 'admin admin-token-0123456789\n', { mode: 0o644 });
    await using agent = await cliAgent(path('token-store'), 'mock:', [
      '--token-file',
      tokens,
      '--log-level',
      'warn',
    ]);
    await expect.poll(agent.log).toContain('chmod 600');
    expect(agent.log()).not.toContain('admin-token');
  });
});
