import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CORE_TYPES_SETTINGS } from '../../llm/core-form/core-form.js';
import { KV_TYPES } from '../../llm/kv/layout.js';
import { type BoardClient, connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import {
  type EmulatedRelease,
  emulatedRelease,
  MACHINES,
  runInRelease,
} from '../system/support/emulated-release.js';
import { digestFamilies } from '../system/support/families-digest.js';
import { digestKernels } from '../system/support/kernels-digest.js';
import { digestLogits } from '../system/support/logits-digest.js';
import { compileXrt, XRT_SEEN } from '../system/support/stand-in-xrt.js';
import { useMappedBoard } from '../system/support/use-mapped-board.js';

const DEADLINE_MS = 300_000;
const PROMPT = 'Once upon a time';

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());

for (const machine of MACHINES) {
  const folder = join(temporary.path, machine);
  const found = await emulatedRelease(machine, join(folder, 'release'));
  if ('missing' in found) it(`a release for ${machine}`, ({ skip }) => skip(found.missing));
  else
    describe(`a release for ${machine}, under an emulator of its processor`, () => ofRelease(found, folder));
}

function ofRelease(release: EmulatedRelease, folder: string): void {
  const { arch, compiler } = release.processor;
  // Enough tokens that the last ones see a complete page.
  it.each(KV_TYPES)(
    'computes the greedy tokens and the bits of all logits that this machine computes, keys and values as %s',
    async (kvType) => {
      const args = [TINY_MODEL, 'pynq-z1', PROMPT, '16', kvType];
      const there: unknown = JSON.parse(await runInRelease(release, ['logits-digest-main'], args));
      const here = digestLogits(TINY_MODEL, 'pynq-z1', PROMPT, 16, kvType);
      expect(there).toEqual({ ...here, architecture: arch });
    },
    DEADLINE_MS,
  );

  it(
    'computes the bits of all logits of all families',
    async () => {
      const folder = resolve('test/fixtures/families');
      const models = readdirSync(folder)
        .filter((file) => file.endsWith('-f16.gguf'))
        .map((file) => join(folder, file));
      const there: unknown = JSON.parse(await runInRelease(release, ['families-digest-main'], models));
      expect(there).toEqual(digestFamilies(models).map((digest) => ({ ...digest, architecture: arch })));
    },
    DEADLINE_MS,
  );

  it(
    'computes the same with two threads, which have a third of the rows of all matrices',
    async () => {
      const args = [TINY_MODEL, 'pynq-z1', PROMPT, '16', 'f16', '2'];
      const there: unknown = JSON.parse(await runInRelease(release, ['logits-digest-main'], args));
      expect(there).toEqual({ ...digestLogits(TINY_MODEL, 'pynq-z1', PROMPT, 16), architecture: arch });
    },
    DEADLINE_MS,
  );

  it.each(CORE_TYPES_SETTINGS)(
    'computes the same of rows that are no whole super-blocks, with core types %s and two threads',
    async (coreTypes) => {
      const file = resolve('test/fixtures/families/qwen2-d96-Q4_K_M.gguf');
      const args = [file, 'pynq-z1', PROMPT, '8', 'f16', '2', coreTypes];
      const there: unknown = JSON.parse(await runInRelease(release, ['logits-digest-main'], args));
      const here = digestLogits(file, 'pynq-z1', PROMPT, 8, 'f16', 1, coreTypes);
      expect(there).toEqual({ ...here, architecture: arch });
    },
    DEADLINE_MS,
  );

  it(
    'computes the bits that this machine computes from subnormal, huge and ordinary values, kernel by kernel',
    async () => {
      const there: unknown = JSON.parse(await runInRelease(release, ['kernels-digest-main'], []));
      expect(there).toEqual({ ...digestKernels(), architecture: arch });
    },
    DEADLINE_MS,
  );

  it(
    'computes the golden bits of SOFT_MAX on the mock',
    async () => {
      const args = [resolve('vectors/softmax.json'), 'kv260-2026-v4'];
      const there = JSON.parse(await runInRelease(release, ['softmax-checks-main'], args));
      expect(there.architecture).toBe(arch);
      expect(there.results.length).toBeGreaterThan(20);
      for (const { passed, softMax } of there.results)
        expect({ passed, ...softMax }).toMatchObject({ passed: true, outside: 0, otherBits: 0 });
    },
    DEADLINE_MS,
  );

  it(
    'maps registers and DMA memory with the koffi that it ships, to the effects that this machine has',
    async ({ annotate }) => {
      const [here, there] = ['here', 'there'].map((name) => join(folder, name));
      for (const place of [here, there]) mkdirSync(place);
      const library = compileXrt(compiler, folder);
      if ('missing' in library) await annotate(`without the Xilinx runtime: ${library.missing}`);
      const args = 'missing' in library ? [there] : [there, library.path];
      const programs = ['use-mapped-board-main', 'mapped-logic-main'] as const;
      const { board, xrt, architecture } = JSON.parse(await runInRelease(release, programs, args));
      expect(architecture).toBe(arch);
      expect(board).toEqual(await useMappedBoard(here));
      expect(xrt).toEqual('missing' in library ? undefined : XRT_SEEN);
    },
    DEADLINE_MS,
  );

  describe('whose agent serves the mock on a Unix socket', () => {
    let agent: ReturnType<typeof spawn>;
    let board: BoardClient;
    beforeAll(async () => {
      const socket = join(folder, 'agent.sock');
      const [command, ...args] = [...release.node, join(release.folder, 'agent', 'main.mjs')];
      const flags = ['--device', 'mock:', '--listen', `unix:${socket}`, '--log-level', 'warn'];
      const store = ['--store-dir', join(folder, 'store')];
      agent = spawn(command, [...args, ...flags, ...store], { stdio: ['ignore', 'pipe', 'inherit'] });
      // Its address is the only line that it prints.
      if (agent.stdout === null) throw new Error('standard output is a pipe');
      for await (const line of createInterface(agent.stdout)) {
        expect(line).toBe(`unix:${socket}`);
        break;
      }
      board = await connect(`unix:${socket}`, { timeoutMs: DEADLINE_MS });
    }, DEADLINE_MS);
    afterAll(async () => {
      await board?.close();
      agent?.kill('SIGKILL');
    });

    it(
      'sends the tokens and log-probabilities that an agent of this machine sends',
      async () => {
        await using local = await connect('mock:', { storeDir: join(folder, 'local') });
        expect(board.info.description.architecture).toBe('armv7');
        expect(await useModel(board)).toEqual(await useModel(local));
      },
      DEADLINE_MS,
    );
  });
}

/** Greedy and seeded tokens with the likeliest ones beside them, and the scores of what came out. */
async function useModel(board: BoardClient): Promise<unknown> {
  const model = await board.models.upload(TINY_MODEL);
  const greedy = [];
  for await (const token of model.generate(PROMPT, { maxTokens: 12, temperature: 0, topLogprobs: 5 }))
    greedy.push(token);
  const seeded = [];
  for await (const { id } of model.generate(PROMPT, { maxTokens: 12, temperature: 0.8, seed: 7 }))
    seeded.push(id);
  const scores = await model.score([...(await model.tokenize(PROMPT)), ...seeded], { topLogprobs: 64 });
  return { greedy, seeded, scores };
}
