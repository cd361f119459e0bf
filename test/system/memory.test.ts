import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveHttpApi } from '../../http-api/index.js';
import { connect, type MemoryBudget, planOnBoard } from '../../sdk/index.js';
import { SMALLEST, writeTinyLlama } from '../unit/llm/memory/sparse-model.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';

const MEBI = 2 ** 20;
const directory = temporaryDirectory();
const large = join(directory.path, 'tinyllama-Q3_K_S.gguf');
const small = join(directory.path, 'tinyllama-Q2_K.gguf');
const run = (args: readonly string[]) => cli(args, { home: directory.path });
beforeAll(() => {
  writeTinyLlama(large);
  writeTinyLlama(small, SMALLEST);
});
afterAll(() => directory[Symbol.dispose]());

/** A mock of a PYNQ-Z1 that has DMA memory for the driver and 1.4 MiB more: the bundled model has 1.6 of weights. */
function shortMock(): string {
  const path = join(directory.path, 'short.toml');
  const z1 = readFileSync('boards/pynq-z1.toml', 'utf8');
  writeFileSync(path, z1.replace('size = 0x0800_0000', 'size = 0x0040_0000'));
  return `mock:${path}`;
}

describe('inspect --board', () => {
  it('prints what a model takes on a board that is not there, and refuses as its agent would', async () => {
    const { status, stdout } = await run(['inspect', large, '--board', 'pynq-z1-360', '--ctx-size', '128']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}this model's weights +456\.3$/m);
    expect(stdout).toMatch(/^ {2}short of +99\.0$/m);
    expect(stdout).toMatch(/^does not fit: LLM_MEMORY_DMA; it would fit$/m);
    expect(stdout).toMatch(
      /^ {2}\(1\) quantised as Q2_K throughout with a Q4_K output matrix, which takes 341 MiB/m,
    );
  });

  it('has the same as JSON, for programs', async () => {
    const args = ['inspect', small, '--board', 'pynq-z1-360', '--ctx-size', '128', '--json'];
    const { memory, placement } = JSON.parse((await run(args)).stdout) as {
      memory: MemoryBudget;
      placement: { totals: { staged: { tensors: number } }; board: string };
    };
    expect(memory).toMatchObject({ board: 'pynq-z1-360', contextLength: 128, fits: [] });
    expect(memory.refusal).toBeUndefined();
    expect(memory.dma.need).toBeLessThan(360 * MEBI);
    expect(placement).toMatchObject({ board: 'pynq-z1-360', totals: { staged: { tensors: 0 } } });
  });

  const folder = join('..', 'shared', 'models');
  it.skipIf(!existsSync(folder))(
    'says of every reference model that it fits a PYNQ-Z1 (needs ../shared/models)',
    async () => {
      const files = readdirSync(folder).filter((name) => name.endsWith('.gguf'));
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const { memory } = await planOnBoard(join(folder, file), 'pynq-z1');
        expect(memory?.refusal).toBeUndefined();
      }
      const { stdout } = await run(['inspect', join(folder, files[0]), '--board', 'pynq-z1']);
      expect(stdout).toMatch(/^fits: a context of \d+ tokens/m);
    },
  );

  it('refuses a board that is none', async () => {
    const { status, stderr } = await run(['inspect', small, '--board', 'pynq-z9']);
    expect(status).toBe(1);
    expect(stderr).toContain('DRIVER_BOARD_UNKNOWN');
  });
});

describe('a model that does not fit', () => {
  it('is refused by load before anything is allocated, and loads where it may be staged', async () => {
    await using agent = await testAgent({ device: shortMock() });
    await using board = await connect(agent.url);
    const { digest } = await board.models.store(TINY_MODEL);
    const before = await board.health();
    const refused = board.models.load(digest, { staged: false });
    await expect(refused).rejects.toMatchObject({
      code: 'LLM_MEMORY_DMA',
      message: expect.stringMatching(/^ {2}this model's weights +1\.6$/m),
      context: { board: 'pynq-z1', available: 4 * MEBI, parts: expect.any(Array), bytes: expect.any(Array) },
    });
    const after = await board.health();
    expect(after.dmaMemory).toEqual(before.dmaMemory);
    expect(after.models).toBe(0);
    const model = await board.models.load(digest);
    expect(model.placement.totals.staged.tensors).toBeGreaterThan(0);
    expect(model.memory).toMatchObject({ contextLength: 512, maxColumns: 64 });
    expect(model.memory!.stagedBytes).toBe(model.placement.totals.staged.bytes);
  });

  it('is loaded with fewer columns where that is asked for', async () => {
    await using agent = await testAgent();
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL, { maxColumns: 4 });
    expect(model.memory).toMatchObject({ maxColumns: 4 });
    await expect(board.models.load(model.digest, { maxColumns: 8 })).rejects.toMatchObject({
      code: 'AGENT_MODEL_LOADED_OTHERWISE',
    });
    expect(await model.generate('Once', { maxTokens: 4, temperature: 0 }).text()).not.toBe('');
  });

  it('is refused by upload before a byte is sent, and is sent with --force', async () => {
    using store = temporaryDirectory();
    // Without Linux no real board can be opened here: a mock that may not stage refuses as a board does.
    await using agent = await testAgent({ device: shortMock(), storeDir: store.path });
    const args = ['upload', TINY_MODEL, '--no-staged', '--device', agent.url];
    const { status, stderr } = await run(args);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^pynq-llm: \[PL4700 LLM_MEMORY_DMA\] .* needs 4\.3 MiB of DMA memory on pynq-z1/);
    expect(stderr).toMatch(/^ {2}this model's weights +1\.6$/m);
    expect(bytesIn(store.path)).toBe(0);
    expect((await run([...args, '--force'])).status).toBe(0);
    expect(bytesIn(store.path)).toBeGreaterThanOrEqual(statSync(TINY_MODEL).size);
  });

  it('is told to users of the HTTP API by its code, with the table', async () => {
    await using agent = await testAgent({ device: shortMock() });
    await using board = await connect(agent.url);
    await board.models.store(TINY_MODEL, { name: 'tiny' });
    const open = () => connect(agent.url);
    const api = await serveHttpApi({ open, port: 0, load: { staged: false } });
    try {
      await api.open();
      const response = await fetch(`${api.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'tiny', prompt: 'Once', max_tokens: 1 }),
      });
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      expect(error).toMatchObject({
        code: 'LLM_MEMORY_DMA',
        param: 'model',
        message: expect.stringMatching(/this model's weights +1\.6\n/),
        memory: { needed: expect.any(Number), available: 4 * MEBI, fits: expect.any(Array) },
      });
    } finally {
      await api.close();
    }
  });
});

/** Bytes of all files below a folder that hold models or parts of them. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).size)
    .filter((bytes) => bytes > 64 * 1024)
    .reduce((sum, bytes) => sum + bytes, 0);
}
