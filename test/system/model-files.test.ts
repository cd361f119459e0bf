import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import type { PynqLlmError } from '../../errors/index.js';
import { type BoardClient, checkModel, connect, inspectModel, type Model } from '../../sdk/index.js';
import { partName, splitFile } from '../unit/gguf/split-file.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { modelOf } from './support/bad-input.js';
import { cli } from './support/cli.js';

const folder = temporaryDirectory();
const path = (name: string) => join(folder.path, name);
const run = (args: readonly string[]) => cli(args, { home: folder.path });

let agent: AgentHandle;
let board: BoardClient;
let parts: string[];
beforeAll(async () => {
  agent = await testAgent();
  board = await connect(agent.url);
  parts = splitFile(TINY_MODEL, folder.path, 'tiny', 13);
  writeFileSync(path('mamba.gguf'), modelOf('mamba'));
  const whole = readFileSync(TINY_MODEL);
  writeFileSync(path('cut.gguf'), whole.subarray(0, -4096));
  writeFileSync(
    path('big-endian.gguf'),
    Buffer.concat([Buffer.from('GGUF'), Buffer.from([0, 0, 0, 3]), whole.subarray(8)]),
  );
  writeFileSync(
    path('version-1.gguf'),
    Buffer.concat([Buffer.from('GGUF'), Buffer.from([1, 0, 0, 0]), whole.subarray(8)]),
  );
  writeFileSync(path('page.gguf'), '<!doctype html><html><title>Sign in</title></html>');
  writeFileSync(path('pointer.gguf'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n');
  writeFileSync(
    path('model.safetensors'),
    Buffer.concat([Buffer.from([16, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a":{"dtype":1}}')]),
  );
  writeFileSync(path('empty.gguf'), '');
  copyFileSync(TINY_MODEL, path('whole.gguf.part'));
  mkdirSync(path('folder.gguf'));
  copyFileSync(TINY_MODEL, join(path('folder.gguf'), 'inside.gguf'));
});
afterAll(async () => {
  await board.close();
  await agent.close();
  folder[Symbol.dispose]();
});

/** Tokens with their logarithmic probabilities, in which all logits are: equal numbers are equal bits. */
async function tokensOf(model: Model): Promise<unknown[]> {
  const tokens = [];
  const options = { maxTokens: 6, temperature: 0, topLogprobs: 8, ignoreEos: true };
  for await (const token of model.generate('Once upon a time', options)) tokens.push(token);
  return tokens;
}

describe('a split model', () => {
  it('is one model on the board, with the tokens of the file that was cut, to the bit', async () => {
    const model = await board.models.upload(parts[0]);
    const stored = await model.stored();
    expect(stored).toMatchObject({ names: ['tiny.gguf'], bytes: readFileSync(TINY_MODEL).length });
    const split = await tokensOf(model);
    await model.unload();
    await board.models.delete(stored.digest);
    const whole = await board.models.upload(TINY_MODEL);
    expect(whole.digest).toBe(stored.digest);
    expect(await tokensOf(whole)).toEqual(split);
    expect(split).toHaveLength(6);
    await whole.unload();
  });

  it('is stored by its first part, named by its whole or as asked', async () => {
    const stored = await board.models.store(parts[0]);
    expect(stored.names).toContain('tiny.gguf');
    expect((await board.models.store(parts[0], { name: 'mine' })).digest).toBe(stored.digest);
  });

  it('is inspected as one', async () => {
    const { files, bytes, tensors } = inspectModel(parts[0]);
    const whole = inspectModel(TINY_MODEL);
    expect({ files, bytes, tensors }).toEqual({ files: parts, bytes: whole.bytes, tensors: whole.tensors });
    const { stdout } = await run(['inspect', parts[0]]);
    expect(stdout).toMatch(/^runs on pynq-z1: yes, with 100\.0 % of the weights on the core\n/);
    expect(stdout).toContain(`${parts[0]} and the 2 parts behind it`);
  });

  it('runs from the command line', async () => {
    const args = ['-n', '5', '--temp', '0', 'Once upon a time', '-m'];
    const [split, whole] = [await run(['run', ...args, parts[0]]), await run(['run', ...args, TINY_MODEL])];
    expect(split).toMatchObject({ status: 0, stdout: whole.stdout });
    expect(whole.stdout.length).toBeGreaterThan(5);
  });

  it.each([
    [
      'by another part',
      () => parts[1],
      /GGUF_SPLIT_PART\].*part 2 of 3.*Give the first part: .*tiny-00001-of-00003\.gguf/,
    ],
    [
      'without a part',
      () => {
        const lone = path(partName('lone', 1, 3));
        copyFileSync(parts[0], lone);
        return lone;
      },
      /GGUF_SPLIT_PART_MISSING\].*lone-00002-of-00003\.gguf, lone-00003-of-00003\.gguf/,
    ],
  ])('%s is refused before anything is sent', async (_, file, expected) => {
    expect(() => inspectModel(file())).toThrow(expected);
    await expect(board.models.upload(file())).rejects.toThrow(expected);
    const { status, stdout, stderr } = await run(['upload', file()]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(expected);
  });
});

describe('what stops a load', () => {
  it.each(['mamba.gguf', 'cut.gguf', 'page.gguf'])('is found before a byte of %s is sent', async (name) => {
    const before = await board.models.list();
    const failure = async (work: Promise<unknown>) =>
      work.then(
        () => 'none',
        ({ code }: { code: string }) => code,
      );
    const bytes = readFileSync(path(name));
    const sent: unknown[] = [];
    const options = { onPhase: (phase: unknown) => sent.push(phase) };
    const codes = [
      await failure(board.models.upload(path(name), options)),
      await failure(board.models.upload(new Uint8Array(bytes), options)),
      await failure(board.models.requireRoom(path(name))),
      await failure(board.models.budget(path(name))),
    ];
    expect(sent).toEqual([]);
    expect(await board.models.list()).toEqual(before);
    // Sent all the same, loading says what was said before.
    const { digest } = await board.models.store(path(name));
    const loading = await failure(board.models.load(digest));
    expect(codes).toEqual(codes.map(() => loading));
    expect(await failure(board.models.check(digest))).toBe(loading);
    expect(loading).not.toBe('none');
    await board.models.delete(digest);
  });

  it('is what inspect says first, and upload after it, unless forced', async () => {
    const inspected = await run(['inspect', path('mamba.gguf')]);
    expect(inspected.status).toBe(0);
    expect(inspected.stdout).toMatch(
      /^runs here: no, nor on any other board\. The model's architecture is "mamba".*\[LLM_UNSUPPORTED_ARCHITECTURE\]\n/,
    );
    expect(inspected.stdout).not.toContain('on the core');
    const json = JSON.parse((await run(['inspect', path('mamba.gguf'), '--json'])).stdout);
    expect(json.runs).toMatchObject({ ok: false, code: 'LLM_UNSUPPORTED_ARCHITECTURE' });
    expect(json.placement).toBeUndefined();
    const uploaded = await run(['upload', path('mamba.gguf')]);
    expect(uploaded.stderr).toContain('LLM_UNSUPPORTED_ARCHITECTURE');
    expect((await run(['models'])).stdout).not.toContain('mamba');
    expect((await run(['upload', '--force', path('mamba.gguf')])).status).toBe(0);
    for (const command of ['check', 'load']) {
      const { status, stderr } = await run(['models', command, 'mamba.gguf']);
      expect({ command, status }).toEqual({ command, status: 1 });
      expect(stderr).toContain('LLM_UNSUPPORTED_ARCHITECTURE');
    }
  });

  it('is nothing of a model that is stored and fits, says models check', async () => {
    await run(['upload', TINY_MODEL]);
    const { status, stdout } = await run(['models', 'check', 'tiny-stories-Q3_K_M.gguf', '-c', '64']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^runs on pynq-z1: yes\n/);
    expect(stdout).toContain('a context of 64 tokens');
  });

  it('is told of a board that is named, too', async () => {
    const { stdout } = await run(['inspect', TINY_MODEL, '--board', 'kv260', '--json']);
    expect(JSON.parse(stdout).runs).toEqual({ board: 'kv260', ok: true, onCore: 1 });
  });

  it('is nothing where llama.cpp has a default, and that is said', async () => {
    const whole = readFileSync(TINY_MODEL);
    const key = Buffer.from('tokenizer.ggml.bos_token_id');
    const odd = Buffer.from(whole);
    // Its value stands behind the key and the type.
    odd.writeUInt32LE(0xffff_ffff, whole.indexOf(key) + key.length + 4);
    writeFileSync(path('odd.gguf'), odd);
    const said = 'tokenizer.ggml.bos_token_id is 4294967295; assumed: 1, "<|start_story|>"';
    expect(await checkModel(path('odd.gguf'))).toEqual({ assumed: [said] });
    const { stdout } = await run(['inspect', path('odd.gguf')]);
    expect(stdout).toMatch(/^runs on pynq-z1: yes.*\ntaken for granted, as llama\.cpp does:\n/);
    expect(stdout).toContain(`  ${said}\n`);
    const { digest } = await board.models.store(path('odd.gguf'));
    const before = await board.models.check(digest);
    expect(before.assumed).toEqual([said]);
    expect((await board.models.get(digest)).state).toBe('stored');
    const model = await board.models.load(digest);
    expect(before.memory.dma.need).toBe((await board.models.check(digest)).memory.dma.need);
    expect(model.info.bosToken).toBe(1);
    await model.unload();
  });
});

describe('a file that is no model says what it is, and what to do', () => {
  it.each([
    [
      'cut.gguf',
      'GGUF_TRUNCATED',
      /takes \d+ bytes from byte \d+ on, but the file has \d+.*download or copy is probably incomplete/,
    ],
    ['big-endian.gguf', 'GGUF_BIG_ENDIAN', /the file is big-endian.*gguf-convert-endian FILE little/],
    ['version-1.gguf', 'GGUF_UNSUPPORTED_VERSION', /GGUF version 1.*convert_hf_to_gguf\.py/],
    ['page.gguf', 'GGUF_BAD_MAGIC', /a web page.*Download the file itself/],
    ['pointer.gguf', 'GGUF_BAD_MAGIC', /Git LFS pointer.*git lfs pull/],
    ['model.safetensors', 'GGUF_BAD_MAGIC', /safetensors.*convert_hf_to_gguf\.py/],
    ['empty.gguf', 'SDK_MODEL_FILE', /is empty.*Fetch the file again/],
    ['whole.gguf.part', 'SDK_MODEL_FILE', /a download that has not ended.*Let the download end/],
    ['folder.gguf', 'SDK_MODEL_FILE', /is a folder; in it are inside\.gguf.*Give a \.gguf file/],
  ])('%s', async (name, code, expected) => {
    const attempts = [
      async () => inspectModel(path(name)),
      () => checkModel(path(name)),
      () => board.models.requireRoom(path(name)),
      () => board.models.upload(path(name)),
    ];
    for (const attempt of attempts) {
      const error = await attempt().then(
        () => undefined,
        (thrown: PynqLlmError) => thrown,
      );
      expect(error?.code).toBe(code);
      expect(error?.message).toMatch(expected);
    }
  });

  it('in one line, from every command that takes a file', async () => {
    for (const args of [['inspect'], ['upload'], ['run', 'Once', '-m']]) {
      const { status, stdout, stderr } = await run([...args, path('pointer.gguf')]);
      expect({ args, status, stdout }).toEqual({ args, status: 1, stdout: '' });
      expect(stderr).toMatch(/^pynq-llm: \[PL1001 GGUF_BAD_MAGIC\] .*Git LFS pointer.*\n$/);
    }
  });
});
