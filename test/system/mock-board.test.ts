import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { faults, openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';

const greedy = { maxTokens: 6, temperature: 0 };

it('has a store of its own, which is gone with it', async () => {
  await using first = await openMock();
  await first.models.store(TINY_MODEL);
  await using second = await openMock();
  expect(await first.models.list()).toHaveLength(1);
  expect(await second.models.list()).toEqual([]);
});

it('is the board that it is asked for, with a store that stays where one is named', async () => {
  using store = temporaryDirectory();
  const options = { board: 'kv260', storeDir: store.path };
  const board = await openMock(options);
  expect(board.info.description.name).toBe('kv260');
  await board.models.store(TINY_MODEL);
  await board.close();
  await using again = await openMock(options);
  expect(await again.models.list()).toHaveLength(1);
});

it('shows a fault after as many opportunities as were said', async () => {
  await using board = await openMock({ faults: [{ name: 'bus-error', after: 2_000 }] });
  let reads = 0;
  const read = async () => {
    for (; reads < 3_000; reads++) await board.registers.read(['dma0.MM2S_DMASR']);
  };
  await expect(read()).rejects.toMatchObject({ code: 'DRIVER_BUS_ERROR' });
  // Opening the board took some.
  expect(reads).toBeGreaterThan(1_000);
  expect(reads).toBeLessThanOrEqual(2_000);
  // It shows once.
  await board.registers.read(['dma0.MM2S_DMASR']);
  expect(Object.keys(faults)).toContain('bus-error');
});

it.each([
  { board: 'no-such-board' },
  { board: 'kv260?realtime=1' },
  { faults: [{ name: 'dma-slave-error' as const, after: -1 }] },
])('refuses %o', async (options) => {
  await expect(openMock(options)).rejects.toMatchObject({ code: /^(AGENT_DEVICE|DRIVER_BOARD)/ });
});

it.each([
  ['pynq-llm/mock', 'openMock()'],
  ['pynq-llm', "connect('mock:')"],
])('a program that forgets to close a board of %s does its work and ends', async (name, open) => {
  using home = temporaryDirectory();
  const program = `
    import * as sdk from '${name}';
    const board = await sdk.${open};
    const model = await board.models.upload('${TINY_MODEL}');
    const [text] = await Promise.all([
      model.generate('Once upon a time', { maxTokens: 60, temperature: 0, ignoreEos: true }).text(),
      board.registers.read(['dma0.MM2S_DMASR']),
    ]);
    await board.counters.read();
    console.log(JSON.stringify({ text }));`;
  // Inside the package, so that `pynq-llm` means this package.
  mkdirSync('dist/test/tmp', { recursive: true });
  const file = `dist/test/tmp/unclosed-${process.pid}-${name.length}.mjs`;
  writeFileSync(file, program);
  try {
    // A program that does not end is ended by the deadline, which rejects.
    const { stdout } = await promisify(execFile)(process.execPath, [file], {
      env: { ...process.env, PYNQ_LLM_HOME: home.path, TMPDIR: home.path },
      timeout: 60_000,
    });
    expect(JSON.parse(stdout).text.split(' ').length).toBeGreaterThan(20);
  } finally {
    rmSync(file);
  }
  expect(readdirSync(home.path).filter((file) => file.startsWith('pynq-llm-mock-'))).toEqual([]);
});

it('flags of the command line that are for the program alone leave its threads alone', async () => {
  using home = temporaryDirectory();
  // A schema is compiled on a thread of its own, beside the device's.
  const program = `
    import { connect } from 'pynq-llm';
    const board = await connect('mock:');
    const model = await board.models.upload('${TINY_MODEL}');
    const schema = { enum: ['Lily', 'Tim'] };
    const responseFormat = { type: 'json-schema', schema };
    console.log(await model.generate('Her name was ', { responseFormat }).text());`;
  const args = ['--input-type=module', '--max-old-space-size=512', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, PYNQ_LLM_HOME: home.path, TMPDIR: home.path },
    timeout: 60_000,
  });
  expect(['Lily', 'Tim']).toContain(JSON.parse(stdout));
});

it('closing ends a generation that nobody reads', async () => {
  const board = await openMock();
  const model = await board.models.upload(TINY_MODEL);
  const generation = model.generate('Once', { ...greedy, maxTokens: 200, ignoreEos: true });
  const ended = expect(generation.text()).rejects.toMatchObject({ code: 'SDK_CLOSED' });
  await board.counters.read();
  await board.close();
  await ended;
});
