import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { expectError, modelOf } from '../system/support/bad-input.js';
import { type CliOptions, cli, cliAgent } from '../system/support/cli.js';

const directory = temporaryDirectory();
const home = join(directory.path, 'home');
const run = (args: readonly string[], options: Partial<CliOptions> = {}) => cli(args, { home, ...options });
const path = (name: string) => join(directory.path, name);

afterAll(() => directory[Symbol.dispose]());

describe.concurrent('a model that cannot be used', () => {
  beforeAll(() => {
    const good = readFileSync(TINY_MODEL);
    const WORD = 4;
    const withHeader = (change: (file: Buffer) => void): Buffer => {
      const file = Buffer.from(good);
      change(file);
      return file;
    };
    writeFileSync(path('cut-header.gguf'), good.subarray(0, 1000));
    writeFileSync(
      path('wrong-magic.gguf'),
      withHeader((file) => file.write('GGML')),
    );
    writeFileSync(
      path('future-version.gguf'),
      withHeader((file) => file.writeUInt32LE(99, WORD)),
    );
    writeFileSync(
      path('huge-count.gguf'),
      withHeader((file) => file.writeBigUInt64LE(2n ** 60n, 2 * WORD)),
    );
    writeFileSync(
      path('huge-metadata.gguf'),
      withHeader((file) => file.writeBigUInt64LE(2n ** 63n, 4 * WORD)),
    );
    writeFileSync(path('empty.gguf'), '');
    mkdirSync(path('folder.gguf'));
  });

  it.each([
    ['cut-header.gguf', 'GGUF_\\w+'],
    ['wrong-magic.gguf', 'GGUF_BAD_MAGIC'],
    ['future-version.gguf', 'GGUF_\\w*VERSION\\w*'],
    ['huge-count.gguf', 'GGUF_\\w+'],
    ['huge-metadata.gguf', 'GGUF_\\w+'],
    ['empty.gguf', 'SDK_MODEL_FILE'],
    ['folder.gguf', 'SDK_MODEL_FILE'],
  ])('%s', async (name, code) => {
    const result = await run(['run', 'Once', '-m', path(name)]);
    expectError(result, code);
    expect(result.milliseconds).toBeLessThan(30_000);
  });

  it('a name that the board does not know', async () => {
    expectError(await run(['run', 'Once', '-m', 'no-such-model']), 'CLI_MODEL_UNKNOWN');
  });
});

describe.concurrent('a request that cannot be met', () => {
  it('a vector larger than any memory fails its check, and the report comes all the same', async () => {
    const result = await run(['selftest', '--vectors', path('large'), '--json']);
    expect(result.status).toBe(3);
    expect(result.stderr).toContain('SDK_VECTORS_TOO_LARGE');
    expect(JSON.parse(result.stdout)).toMatchObject({ passed: 0, bitMismatches: 0 });
  });

  beforeAll(() => {
    const [first] = JSON.parse(readFileSync('vectors/index.json', 'utf8')).cases;
    mkdirSync(path('large'));
    writeFileSync(path('large/index.json'), JSON.stringify({ cases: [first] }));
    writeFileSync(path(`large/${first.file}`), '');
    truncateSync(path(`large/${first.file}`), 2 ** 32);
  });

  it.each([
    ['a context longer than the model’s', ['run', '-c', '100000'], 'LLM_CONTEXT_LENGTH'],
    ['a chat without a template', ['run', '--chat', 'Hello'], 'LLM_CHAT_TEMPLATE_MISSING'],
    ['a write to an unknown register', ['regs', '--write', 'nope.NOPE=1'], 'DRIVER_UNKNOWN_REGISTER'],
    ['a write to a read-only register', ['regs', '--write', 'control.DONE=1'], '\\w*READ_ONLY\\w*'],
    ['a token that the model lacks', ['score', '--tokens', '1,999999999'], '(LLM|AGENT)_\\w*TOKEN\\w*'],
    ['a trace that is none', ['trace', 'replay', TINY_MODEL], 'DRIVER_BAD_TRACE'],
    ['vectors that are not there', ['selftest', '--vectors', path('nope')], 'SDK_VECTORS'],
    ['a file to inspect that is none', ['inspect', 'package.json'], 'GGUF_BAD_MAGIC'],
    ['an unloaded model', ['models', 'unload', 'nope'], 'AGENT_MODEL_UNKNOWN'],
  ])('%s', async (_, args, code) => {
    expectError(await run(args), code);
  });
});

// Twice: a step is tried again once.
describe.concurrent('a device with a fault', () => {
  it.each(['dma-decode-error', 'no-tlast', 'bus-error'])('%s', async (fault) => {
    const result = await run(['run', 'Once', '-d', `mock:?fault=${fault}:0:2`]);
    expectError(result, '(DRIVER|MOCK|AGENT)_\\w+');
    expect(result.milliseconds).toBeLessThan(30_000);
  });
});

describe.concurrent('an agent', () => {
  it('that is killed during a run ends it with an error, what came before is kept', async () => {
    await using agent = await cliAgent(path('killed-store'));
    const result = await run(['run', 'Once upon a time', '-n', '480', '--ignore-eos', '-d', agent.url], {
      onOutput: () => agent.child.kill('SIGKILL'),
    });
    const [notice, error, ...more] = result.stderr.split('\n');
    expect(notice).toMatch(/^pynq-llm: The connection to ws:.+ broke: .+ Trying again for 15 s\.$/);
    expect(error).toMatch(/^pynq-llm: \[PL\d{4} SDK_CONNECTION_LOST\] .+ within 15 s\. .+ECONNREFUSED.+$/);
    // The number and the remedy of the errors underneath are not repeated.
    expect(error.split('[PL')).toHaveLength(2);
    expect(more).toEqual(['']);
    expect(result.stdout.length).toBeGreaterThan(0);
    expect(result.status).toBe(1);
    expect(result.milliseconds).toBeLessThan(40_000);
  });

  it.skipIf(!canMount())(
    'whose disk is full refuses a model and keeps what it has (needs user namespaces)',
    async () => {
      const store = path('small-disk');
      mkdirSync(store);
      const small = path('small.gguf');
      writeFileSync(small, modelOf('llama'));
      // The store leaves 64 MiB of any disk free: this one has room for 1 MiB.
      const script = [
        `mount -t tmpfs -o size=65m none ${store}`,
        `${process.execPath} dist/cli/main.js upload ${small} --force`,
        `${process.execPath} dist/cli/main.js upload ${TINY_MODEL} || echo "status $?"`,
        `${process.execPath} dist/cli/main.js models`,
      ].join('\n');
      // Not synchronous: the tests beside this one have to see in time what their processes print.
      const { stdout: output } = await promisify(execFile)(
        'unshare',
        ['-rm', 'sh', '-ec', `exec 2>&1\n${script}`],
        {
          env: { PATH: process.env.PATH, PYNQ_LLM_HOME: store },
          encoding: 'utf8',
        },
      );
      expect(output).toMatch(/\[PL\d{4} AGENT_STORE_FULL\] .+\nstatus 1\n/);
      expect(output.split('status 1')[1]).toContain('small.gguf');
    },
  );
});

/** Whether this machine lets an ordinary user mount a file system of his own. */
function canMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
