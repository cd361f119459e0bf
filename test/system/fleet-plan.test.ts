import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startMockFleet } from '../../fleet/index.js';
import { GgmlType, syntheticLlamaHeader, TINY_LLAMA_1B } from '../../gguf/index.js';
import { silentLog } from '../../listen/index.js';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const directory = temporaryDirectory();
const header = join(directory.path, 'header.gguf');
writeFileSync(header, syntheticLlamaHeader({ ...TINY_LLAMA_1B, seed: 1 }));
const inF16 = join(directory.path, 'f16.gguf');
writeFileSync(inF16, syntheticLlamaHeader({ ...TINY_LLAMA_1B, typeOf: () => GgmlType.F16, seed: 1 }));
const run = (args: readonly string[]) => cli(['fleet', ...args], { home: directory.path });
afterAll(() => directory[Symbol.dispose]());

describe('fleet plan, with the header of TinyLlama-1.1B alone', () => {
  it.each([
    ['2', '256', [12, 10]],
    ['4', '128', [6, 6, 6, 4]],
  ])('cuts it over %s boards with %s MiB, everything resident', async (boards, mebibytes, layers) => {
    const { status, stdout } = await run([
      'plan',
      header,
      '--boards',
      boards,
      '--dma-memory',
      mebibytes,
      '--json',
    ]);
    expect(status).toBe(0);
    const { stages } = JSON.parse(stdout);
    expect(stages.map((stage: { from: number; to: number }) => stage.to - stage.from)).toEqual(layers);
    expect(stages.at(-1)).toMatchObject({ hasOutput: true, memory: { stagedBytes: 0 } });
  });

  it('prints a line for each stage, and by rows a line for each board', async () => {
    const layers = await run(['plan', header, '--board', 'pynq-z1:2', '--board', 'kv260-2026-v3:1']);
    expect(layers.stdout).toMatch(/kv260-2026-v3 +10 \(12 to 21\) \+ output/);
    const rows = await run(['plan', header, '--boards', '4', '--tensor']);
    expect(rows.stdout.match(/^pynq-z1 +8 /gm)).toHaveLength(4);
    const groups = ['plan', header, '--boards', '4', '--tensor', '--pipeline', '2', '--dma-memory', '128'];
    const both = await run(groups);
    expect(both.stdout.match(/^ +0 +pynq-z1 +12 \(0 to 11\) +16 /gm)).toHaveLength(2);
    expect(both.stdout.match(/^ +1 +pynq-z1 +10 \(12 to 21\) \+ output +16 /gm)).toHaveLength(2);
    expect(JSON.parse((await run([...groups, '--json'])).stdout)).toMatchObject({
      stages: [
        { group: 0, from: 0, to: 12, rows: { boards: [{}, {}] } },
        { from: 12, to: 22 },
      ],
    });
  });

  it('refuses groups that are none', async () => {
    const uneven = await run(['plan', header, '--boards', '5', '--tensor', '--pipeline', '2']);
    expect([uneven.status, uneven.stderr]).toEqual([2, expect.stringMatching(/no 2 groups/)]);
    const alone = await run(['plan', header, '--boards', '4', '--pipeline', '2']);
    expect([alone.status, alone.stderr]).toEqual([2, expect.stringMatching(/--pipeline is for --tensor/)]);
    const deep = await run(['plan', header, '--boards', '46', '--tensor', '--pipeline', '23']);
    expect(deep.stderr).toMatch(/FLEET_PLAN_TOO_MANY_BOARDS/);
  });

  it.each([
    ['by layers', []],
    ['by rows', ['--tensor']],
    ['both', ['--tensor', '--pipeline', '2']],
  ])('refuses a context that no board would load it with, %s', async (_, how) => {
    const { status, stderr } = await run(['plan', header, '--boards', '4', ...how, '-c', '2049']);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/LLM_CONTEXT_LENGTH.*1 to 2048/s)]);
  });

  it('says that nothing is predicted of a model of which the core takes nothing', async () => {
    const { stdout } = await run(['plan', inF16, '--boards', '22', '--board', 'kv260']);
    expect(stdout).toMatch(/^a step takes +what processors take, which is not predicted/m);
    expect(stdout).not.toMatch(/NaN|0 µs,/);
    const rows = await run(['plan', inF16, '--boards', '8', '--board', 'kv260', '--tensor']);
    expect(rows.stderr).toMatch(/FLEET_TENSOR_DOES_NOT_PAY.*The core takes none of its matrices/s);
  });

  it('says what would fit, and where exchanges cost too much', async () => {
    const two = await run(['plan', header, '--boards', '2']);
    expect(two.status).toBe(1);
    expect(two.stderr).toMatch(/FLEET_PLAN_DOES_NOT_FIT.*4 boards/s);
    const slow = await run(['plan', header, '--boards', '4', '--tensor', '--round-trip', '50']);
    expect(slow.stderr).toMatch(/FLEET_TENSOR_DOES_NOT_PAY.*It pays from a round trip of/s);
    const both = await run(['plan', header, '--boards', '4', '--board', 'pynq-z1:2']);
    expect(both.stderr).toMatch(/FLEET_PLAN_OPTIONS/);
  });
});

it('fleet advise says how many boards there should be', async () => {
  const history = join(directory.path, 'history.jsonl');
  const lines = Array.from({ length: 20 }, (_, i) => `{"at":${i * 60_000},"busyBoards":3.4}`);
  writeFileSync(history, lines.join('\n'));
  const { stdout } = await run(['advise', history, '--boards', '4']);
  expect(stdout).toMatch(/add 1: 5 boards/);
});

it('fleet advise asks a gateway, which has written it down', async () => {
  const storeDir = join(directory.path, 'gateway');
  mkdirSync(storeDir);
  const lines = Array.from({ length: 20 }, (_, i) => `{"at":${i * 60_000},"busyBoards":1.9,"tokens":100}`);
  writeFileSync(join(storeDir, 'fleet-history.jsonl'), lines.join('\n'));
  const fleet = await startMockFleet({
    mocks: 2,
    device: 'mock:',
    storeDir,
    listen: '127.0.0.1:0',
    log: silentLog,
  });
  try {
    const { stdout } = await run(['advise', '--device', fleet.url]);
    expect(stdout).toMatch(/add 1: 3 boards/);
    const json = await run(['advise', '--device', fleet.url, '--target', '0.99', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ boards: 2, wanted: 2, samples: 20 });
  } finally {
    await fleet.close();
  }
  const { status, stderr } = await run(['advise', join(storeDir, 'fleet-history.jsonl')]);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/--boards/);
});
