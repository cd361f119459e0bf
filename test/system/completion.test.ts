import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());
const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

describe.skipIf(!has('bash'))('completion in bash', () => {
  const script = join(home.path, 'completion.bash');
  beforeAll(async () => {
    const { status, stdout } = await cli(['completion', 'bash'], { home: home.path });
    expect(status).toBe(0);
    writeFileSync(script, stdout);
    writeFileSync(join(home.path, 'model one.gguf'), '');
    mkdirSync(join(home.path, 'models'));
  });

  /** What Tab offers after a line, as readline would break its words. */
  function offered(line: string): string[] {
    const code = `source ${script}
      COMP_LINE=$1; COMP_POINT=\${#COMP_LINE}; COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
      _pynq_llm pynq-llm; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', code, 'bash', line], {
      cwd: home.path,
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return stdout.split('\n').filter(Boolean);
  }

  it.each([
    ['pynq-llm ', ['run', 'chat', 'serve', 'completion']],
    ['pynq-llm mod', ['models']],
    ['pynq-llm models ', ['list', 'load', 'unload', 'delete']],
    ['pynq-llm run --temp', ['--temp']],
    ['pynq-llm run --kv-type ', ['f16', 'int8']],
    ['pynq-llm run --kv-type i', ['int8']],
    ['pynq-llm run --temp 1 --cl', ['--class']],
    ['pynq-llm counters --device s', ['ssh://']],
    // bash has broken the word at the colon.
    ['pynq-llm counters --device mock:kv', ['kv260']],
    ['pynq-llm completion ', ['bash', 'zsh', 'fish']],
    ['pynq-llm inspect mo', ['model one.gguf', 'models']],
    ['pynq-llm run -m model', ['model one.gguf', 'models']],
  ])('%j offers %j', (line, expected) => {
    const words = offered(line);
    expect(words).toEqual(expect.arrayContaining(expected));
    if (!line.endsWith(' ')) expect(words).toHaveLength(expected.length);
  });

  it('does not take a value for a command', () => {
    expect(offered('pynq-llm run --stop models ')).toContain('model one.gguf');
    expect(offered('pynq-llm run --stop models --')).toContain('--temp');
  });

  it('is a script that bash finds no fault with, and completes a line that is typed', () => {
    expect(spawnSync('bash', ['-n', script], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const typed = 'pynq-llm run --kv-type i\t';
    const rc = join(home.path, 'rc');
    writeFileSync(rc, `source ${script}\nPS1='> '\npynq-llm() { echo "got:$*"; }\n`);
    const quoted = `bash --rcfile ${rc} -i`;
    const { stdout } = spawnSync('script', ['-qec', quoted, '/dev/null'], {
      input: `${typed}\nexit\n`,
      encoding: 'utf8',
      timeout: 20_000,
      cwd: resolve('.'),
    });
    if (stdout !== undefined && stdout !== '') expect(stdout).toContain('got:run --kv-type int8');
  });
});

describe.each(['zsh', 'fish'])('completion in %s', (shell) => {
  it.skipIf(!has(shell))('is a script that it finds no fault with', async () => {
    const { stdout } = await cli(['completion', shell], { home: home.path });
    const path = join(home.path, `completion.${shell}`);
    writeFileSync(path, stdout);
    expect(spawnSync(shell, ['-n', path], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  });
});

it.skipIf(!has('fish'))('fish offers commands, flags and choices', async () => {
  const { stdout } = await cli(['completion', 'fish'], { home: home.path });
  const path = join(home.path, 'offer.fish');
  writeFileSync(path, stdout);
  const offered = (line: string) =>
    spawnSync('fish', ['--no-config', '-c', `source ${path}; complete -C '${line}'`], {
      encoding: 'utf8',
      env: { ...process.env, HOME: home.path },
    })
      .stdout.split('\n')
      .map((one) => one.split('\t')[0]);
  expect(offered('pynq-llm mod')).toEqual(expect.arrayContaining(['models']));
  expect(offered('pynq-llm models l')).toEqual(expect.arrayContaining(['list', 'load']));
  expect(offered('pynq-llm run --kv-type i')).toEqual(expect.arrayContaining(['int8']));
  expect(offered('pynq-llm run --prompt-l')).toEqual(expect.arrayContaining(['--prompt-lookup']));
});
