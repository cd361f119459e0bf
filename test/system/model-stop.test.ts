import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesSource, openGguf } from '../../gguf/index.js';
import { createTokenizer } from '../../llm/tokenizer/index.js';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const MARK = '<|end_story|>';
/** A seed whose story ends with the mark, in ordinary tokens. */
const STORY = { maxTokens: 200, seed: 1 };
const PROMPT = 'Once upon a time, there was a little girl. ';
const home = temporaryDirectory();
let board: BoardClient;
let model: Model;

beforeAll(async () => {
  board = await connect('mock:', { storeDir: home.path });
  model = await board.models.upload(TINY_MODEL);
});

afterAll(async () => {
  await board.close();
  home[Symbol.dispose]();
});

async function story(options: object = {}): Promise<{ text: string; reason: string; tokens: number }> {
  const generation = model.generate(PROMPT, { ...STORY, ...options });
  const text = await generation.text();
  const { reason, tokens } = await generation.done;
  return { text, reason, tokens };
}

describe("the bundled model's written end", () => {
  it('ends a story and is not shown; without it the tokens are the same as far as they go', async () => {
    const shown = await story({ modelStop: false });
    expect(shown.text).toContain(MARK);
    const hidden = await story();
    expect(hidden).toMatchObject({
      text: shown.text.slice(0, shown.text.indexOf(MARK)),
      reason: 'end-of-text',
    });
    expect(hidden.tokens).toBeLessThanOrEqual(shown.tokens);
    expect((await story({ ignoreEos: true })).text).toContain(`${hidden.text}${MARK}`);
  });

  it('is not shown in part where the tokens end within it', async () => {
    const { text, tokens } = await story();
    for (let fewer = 1; fewer < 4; fewer++)
      expect(await story({ maxTokens: tokens - fewer })).toEqual({
        text,
        reason: 'max-tokens',
        tokens: tokens - fewer,
      });
  });

  it("comes beside a request's own stop strings", async () => {
    const { text } = await story();
    expect((await story({ stop: ['no such text'] })).text).toBe(text);
    const word = text.slice(20, 40);
    expect(await story({ stop: [word] })).toMatchObject({ text: text.slice(0, 20), reason: 'stop' });
  });

  it('is not shown by beam search', async () => {
    const searched = { maxTokens: 140, beams: { width: 2 } };
    const raw = model.generate('The end. ', { ...searched, modelStop: false });
    const cut = model.generate('The end. ', searched);
    const [rawText, cutText] = [await raw.text(), await cut.text()];
    expect(rawText).toContain(MARK);
    expect(rawText.split(MARK)[0]).toBe(cutText);
  });

  it('is hidden by run, and shown with --show-end', async () => {
    const args = ['run', PROMPT, '--seed', '1', '-n', '200'];
    const [hidden, shown] = await Promise.all([
      cli(args, { home: home.path }),
      cli([...args, '--show-end'], { home: home.path }),
    ]);
    expect(shown.stdout).toBe(`${hidden.stdout.trimEnd()}${MARK}\n`);
    expect(hidden.stdout).not.toContain('<');
    expect(hidden.stderr).toContain('ended by end-of-text');
  });
});

describe('scripts/add-stop-strings.mjs', () => {
  it('adds the key alone: other metadata, tensors and their bytes stay, aligned', () => {
    const path = join(home.path, 'more.gguf');
    // A file that has the key, under another name.
    const renamed = Buffer.from(
      readFileSync(TINY_MODEL).toString('latin1').replace('pynq_llm.stop', 'pynq_llm.past'),
      'latin1',
    );
    copyFileSync(TINY_MODEL, path);
    expect(() => add(path, 'x')).toThrow(/has pynq_llm.stop already/);
    writeFileSync(path, renamed);
    add(path, 'The end.', '<|é|>');
    const before = openGguf(bytesSource(renamed));
    const bytes = readFileSync(path);
    const after = openGguf(bytesSource(bytes));
    expect([...after.metadata]).toEqual([...before.metadata, ['pynq_llm.stop', ['The end.', '<|é|>']]]);
    expect(createTokenizer(after.metadata).endTexts).toEqual(['The end.', '<|é|>']);
    for (const [name, tensor] of before.tensors) {
      const { byteOffset, ...same } = after.tensors.get(name)!;
      expect(tensor).toMatchObject(same);
      expect(byteOffset % 32).toBe(0);
      const { byteOffset: from, byteLength } = tensor;
      expect(
        bytes.subarray(byteOffset, byteOffset + byteLength).equals(renamed.subarray(from, from + byteLength)),
      ).toBe(true);
    }
  });
});

function add(path: string, ...texts: string[]): void {
  execFileSync(process.execPath, ['scripts/add-stop-strings.mjs', path, ...texts], { stdio: 'pipe' });
}
