import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HilReport } from '../hil/report.js';
import { temporaryDirectory } from './support/agent.js';

const folder = temporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

const RIGHTS = ['reset', 'write_registers', 'use_dma_memory', 'upload_models'];

/** Writes a bench file. @param rights what may be done, all else may not */
function bench(name: string, lines: readonly string[], rights: readonly string[] = []): string {
  const file = join(folder.path, `${name}.toml`);
  const may = RIGHTS.map((right) => `${right} = ${rights.includes(right)}`);
  writeFileSync(file, [`name = "${name}"`, ...lines, '[may]', ...may].join('\n'));
  return file;
}

/** Runs the test bench as `npm run test:hil -- --bench FILE…` does, after the build. */
function hil(files: readonly string[], env: Record<string, string> = {}) {
  const report = join(folder.path, `report-${basename(files[0], '.toml')}`);
  const args = ['dist/test/hil/run.js', '--report', report, ...files.flatMap((file) => ['--bench', file])];
  const { status, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stderr, report };
}

describe('a test bench', () => {
  let run: ReturnType<typeof hil>;
  let report: HilReport;
  beforeAll(() => {
    const bitstream = join(folder.path, 'not-a-bitstream.bit');
    writeFileSync(bitstream, 'nothing of the kind');
    const mock = ['device = "mock:"', 'board = "pynq-z1"'];
    const files = [
      bench('careful', mock, ['write_registers']),
      bench('on-loan', [...mock, 'skip = "on loan until May"']),
      bench('no-token', [...mock, 'token_variable = "PYNQ_LLM_TEST_NO_SUCH_TOKEN"']),
      bench('another-board', ['device = "mock:kv260"', 'board = "pynq-z1"'], RIGHTS),
      bench('switched-off', ['device = "ws://127.0.0.1:9"', 'board = "pynq-z1"'], RIGHTS),
      bench('bad-bitstream', [...mock, `bitstream = '${bitstream}'`], RIGHTS),
      bench('careful-too', ['device = "mock:kv260"', 'board = "kv260"']),
    ];
    run = hil(files);
    report = JSON.parse(readFileSync(join(run.report, 'report.json'), 'utf8'));
  }, 300_000);
  const of = (name: string) => report.benches.find(({ bench: one }) => one === name);

  it('takes one board after the other, and goes on after one that fails', () => {
    const order = [
      'careful',
      'on-loan',
      'no-token',
      'another-board',
      'switched-off',
      'bad-bitstream',
      'careful-too',
    ];
    const seen = run.stderr.split('\n').filter((line) => /^[a-z-]+( \(|: )/.test(line));
    expect(seen.map((line) => /^[a-z-]+/.exec(line)?.[0])).toEqual(order.flatMap((name) => [name, name]));
    expect(run.status).toBe(1);
  });

  it('skips what may not be done to a board and gives the reason for each', () => {
    const careful = of('careful');
    expect(careful?.outcome).toBe('passed');
    const skipped = careful?.tests.filter(({ outcome }) => outcome === 'skipped') ?? [];
    expect(new Set(skipped.map(({ reason }) => reason))).toEqual(
      new Set(
        ['reset', 'useDmaMemory', 'uploadModels'].map((right) => `the device may not be used for: ${right}`),
      ),
    );
    expect(careful?.tests.find(({ title }) => title.startsWith('registers are read'))?.outcome).toBe(
      'passed',
    );
    expect(careful?.tests.find(({ title }) => title.startsWith('an unknown register'))?.outcome).toBe(
      'passed',
    );
  });

  it('describes each board', () => {
    expect(of('careful')?.board?.description).toMatchObject({ name: 'pynq-z1', architecture: 'armv7' });
    expect(of('careful-too')?.board?.description).toMatchObject({ name: 'kv260', architecture: 'aarch64' });
    const text = readFileSync(join(run.report, 'report.md'), 'utf8');
    expect(text).toContain('PYNQ-Z1, SECDA-LLM bfpp v3 (`pynq-z1`, armv7, core v3), device `mock:`');
    expect(text).toContain('| on-loan | mock: | skipped | 0 | 0 | 0 | on loan until May |');
    expect(text).toContain('bitstream: none is named; the one that runs was tested');
  });

  it('leaves a board out that is on loan, or whose token is not there', () => {
    expect(of('on-loan')).toMatchObject({ outcome: 'skipped', reason: 'on loan until May', tests: [] });
    expect(of('no-token')).toMatchObject({
      outcome: 'skipped',
      reason: 'the variable PYNQ_LLM_TEST_NO_SUCH_TOKEN has no token',
    });
  });

  it.each([
    ['another-board', /the device is a kv260, not a pynq-z1: nothing was done to it/],
    ['switched-off', /SDK_CONNECT_FAILED.*ECONNREFUSED/],
    ['bad-bitstream', /FIRMWARE_BITSTREAM_INVALID/],
  ])('does nothing to %s, and says why', (name, reason) => {
    expect(of(name)).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(reason), tests: [] });
  });

  it('touches no board while a file is wrong, and says what is wrong with it', () => {
    const good = bench('good', ['device = "mock:"', 'board = "pynq-z1"']);
    const wrong = bench('wrong', ['device = "mock:"', 'board = "PYNQ Z1"', 'colour = "pink"']);
    const { status, stderr } = hil([good, wrong]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^\[PL9510 SERVICE_BENCH_FILE\].*wrong\.toml.*board: .*colour/);
    expect(stderr).not.toContain('good');
  });

  it('says what is wrong with a file that is not there, and with one that is no TOML', () => {
    const noToml = join(folder.path, 'no.toml');
    writeFileSync(noToml, 'name =');
    expect(hil([join(folder.path, 'missing.toml')])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/missing\.toml describes no bench board: ENOENT/),
    });
    expect(hil([noToml])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/no\.toml describes no bench board: Invalid TOML/),
    });
  });

  it('refuses two files for boards of one name', () => {
    const first = bench('twin', ['device = "mock:"', 'board = "pynq-z1"']);
    mkdirSync(join(folder.path, 'other'));
    const second = join(folder.path, 'other', 'twin.toml');
    writeFileSync(second, readFileSync(first));
    expect(hil([first, second])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/both describe "twin"/),
    });
  });
});
