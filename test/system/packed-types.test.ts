import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testAgent } from './support/agent.js';

const project = mkdtempSync(join(tmpdir(), 'pynq-llm-packed-'));
afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Packed and installed, with what it depends on and Node's types, as npm would: nothing else of this folder is there. */
beforeAll(() => {
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', project];
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8', timeout: 120_000 }));
  execFileSync('tar', ['-xzf', join(project, filename), '-C', project]);
  const modules = join(project, 'node_modules');
  mkdirSync(modules);
  cpSync(join(project, 'package'), join(modules, 'pynq-llm'), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    const to = join(modules, name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(resolve('node_modules', name), to);
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
});

it("its declarations compile in a strict project that checks them, without ssh2's types", () => {
  const program = `
    import { connect, openSsh, type Model, type SshConnection, type Token } from 'pynq-llm';
    import { openMock } from 'pynq-llm/mock';
    import { startAgent } from 'pynq-llm/agent';
    import { connect as connectClient } from 'pynq-llm/client';
    const board = await connect('mock:');
    const model: Model = await board.models.load('x');
    for await (const token of model.generate('Hi', { maxTokens: 4 })) { const one: Token = token; one.text satisfies string; }
    const ssh: SshConnection = await openSsh({ host: 'board' });
    (await ssh.exec('true')).status satisfies number | undefined;
    // @ts-expect-error: the declarations say more than any
    board.nothing;
    export { connectClient, openMock, startAgent };
  `;
  writeFileSync(join(project, 'program.ts'), program);
  const options = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  const tsc = resolve('node_modules/typescript/bin/tsc');
  let said = '';
  try {
    execFileSync(process.execPath, [tsc, ...options, 'program.ts'], {
      cwd: project,
      encoding: 'utf8',
      timeout: 110_000,
    });
  } catch (error) {
    said = (error as { stdout: string }).stdout;
  }
  expect(said).toBe('');
});

describe('esbuild --bundle --platform=node', () => {
  it('makes of a program one file, which reaches agents, and names what SSH needs', async () => {
    const program = `
      import { connect, isPynqLlmError, openSsh } from 'pynq-llm';
      async function main() {
        const board = await connect(process.argv[2]);
        try { console.log(board.info.device); } finally { await board.close(); }
        await openSsh({ host: '127.0.0.1', port: 1 }).catch((error) => console.log(isPynqLlmError(error) && error.code));
      }
      main();
    `;
    writeFileSync(join(project, 'bundled.js'), program);
    const bundle = { bundle: true, platform: 'node', logLevel: 'silent' } as const;
    const { errors } = await build({
      ...bundle,
      absWorkingDir: project,
      entryPoints: ['bundled.js'],
      outfile: 'alone/bundled.cjs',
    });
    expect(errors).toEqual([]);
    await using agent = await testAgent();
    const said = await new Promise((done) =>
      execFile(
        process.execPath,
        ['bundled.cjs', agent.url],
        { cwd: join(project, 'alone') },
        (_, stdout, stderr) => done(stdout + stderr),
      ),
    );
    // One level up there is ssh2.
    expect(said).toBe('mock:\nSSH_UNREACHABLE\n');
  });
});
