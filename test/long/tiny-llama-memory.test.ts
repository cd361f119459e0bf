import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect } from '../../sdk/index.js';
import { memoryGroup } from '../system/hostile/support/memory-group.js';
import { temporaryDirectory, testAgent } from '../system/support/agent.js';
import { type AgentProcess, cliServer } from '../system/support/cli.js';
import {
  DMA_MIB,
  dmaMib,
  ELSE_MIB,
  FILE_MIB,
  load,
  RESERVED_MIB,
  refusal,
  SENT_BYTES,
  sentTo,
  tinyLlama,
  tokensOf,
  writePartialUpload,
} from '../system/support/tiny-llama.js';
import { writeTinyLlama } from '../unit/llm/memory/sparse-model.js';

const MEBI = 2 ** 20;
const LIMIT_MIB = RESERVED_MIB + ELSE_MIB;
const DEVICE = 'mock:pynq-z1-360';
const group = memoryGroup(LIMIT_MIB);
const missing = 'missing' in group ? group.missing : undefined;
const store = temporaryDirectory();
afterAll(() => {
  store[Symbol.dispose]();
  if (!('missing' in group)) group[Symbol.dispose]();
});

// The mock's DMA memory is memory of its process: the group has that and what a board's Linux has beside it.
describe.skipIf(missing !== undefined)(missing ?? `TinyLlama in a control group of ${LIMIT_MIB} MiB`, () => {
  const model = tinyLlama();
  let expected: unknown[];

  beforeAll(async () => {
    mkdirSync(join(store.path, 'partial'));
    writePartialUpload(model.path, join(store.path, 'partial', model.digest));
    await using agent = await testAgent({ device: 'mock:pynq-z1' });
    await using board = await connect(agent.url);
    await board.models.store(model.path);
    // Staged tiles of another board: what the bits do not depend on.
    expected = await tokensOf(await board.models.load(model.digest, { contextLength: 128 }));
  });

  /** An agent in the group, and a session with it. */
  async function session(use: (board: BoardClient, agent: AgentProcess) => Promise<void>): Promise<void> {
    const args = ['agent', '--device', DEVICE, '--listen', 'ws://127.0.0.1:0', '--store-dir', store.path];
    const within = 'missing' in group ? [] : group.within;
    await using agent = await cliServer(args, { home: store.path, within });
    await using board = await connect(agent.url);
    await use(board, agent);
    const status = readFileSync(`/proc/${agent.child.pid}/status`, 'latin1');
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    process.stderr.write(`the agent's peak: ${Math.round(peak)} MiB, of it ${DMA_MIB} of DMA memory\n`);
    expect(peak - DMA_MIB).toBeLessThan(ELSE_MIB);
  }

  it('gets 32 MiB over the wire, loads, and generates the tokens that staged weights give', () =>
    session(async (board) => {
      expect(Math.floor(statSync(model.path).size / MEBI)).toBe(FILE_MIB);
      expect(await sentTo(board, model.path)).toBe(SENT_BYTES);
      const loaded = await load(board, model.digest);
      expect(loaded.weights).toEqual({ packed: expect.any(Number), read: 0, found: 0 });
      expect(loaded.placement.totals.staged.tensors).toBe(0);
      expect(dmaMib(loaded.memory)).toBe(DMA_MIB);
      expect(await tokensOf(loaded)).toEqual(expected);
    }));

  it('is read and not packed by an agent that starts again', () =>
    session(async (board) => {
      expect(await sentTo(board, model.path)).toBe(0);
      const loaded = await load(board, model.digest);
      expect(loaded.weights).toEqual({ packed: 0, read: expect.any(Number), found: 0 });
      expect(loaded.weights!.read).toBeGreaterThan((DMA_MIB - 1) * MEBI);
      expect(await tokensOf(loaded)).toEqual(expected);
    }));

  it('is refused in Q3_K_S within 2 s, with the table', () =>
    session(async (board) => {
      const path = join(store.path, 'tinyllama-Q3_K_S.gguf');
      writeTinyLlama(path);
      const { code, message, ...first } = await refusal(board, path);
      // Other work on the machine only adds.
      const times = [first.milliseconds];
      for (let again = 0; again < 2; again++) times.push((await refusal(board, path)).milliseconds);
      rmSync(path);
      expect(code).toBe('LLM_MEMORY_DMA');
      expect(message).toMatch(/^ {2}this model's weights +456\.3$/m);
      expect(message).toMatch(/^ {2}short of +99\.0$/m);
      expect(Math.min(...times)).toBeLessThan(2_000);
    }));
});
