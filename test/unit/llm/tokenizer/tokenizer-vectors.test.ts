import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hasSharedModels, hasSharedVocabularies, sharedPath, tokenizerOfFile } from './vocabularies.js';

/** llama.cpp's own test inputs and token ids, without BOS. */
function readCases(name: string): { text: string; ids: number[] }[] {
  const file = sharedPath('tokenizer', `ggml-vocab-${name}.gguf`);
  const texts = readFileSync(`${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n').slice(0, -1);
  const lines = readFileSync(`${file}.out`, 'utf8').split('\n').slice(0, -1);
  expect(lines.length).toBe(texts.length);
  return texts.map((text, i) => ({ text, ids: lines[i].split(' ').filter(Boolean).map(Number) }));
}

describe.skipIf(!hasSharedVocabularies)('llama.cpp token ids (needs ../shared/tokenizer)', () => {
  it.each(['llama-spm', 'phi-3', 'gpt-2'])('are exactly ours for every case of %s', (name) => {
    const tokenizer = tokenizerOfFile(sharedPath('tokenizer', `ggml-vocab-${name}.gguf`));
    const cases = readCases(name);
    expect(cases.length).toBeGreaterThan(40);
    for (const { text, ids } of cases) {
      expect([text, tokenizer.encode(text, { addSpecial: false })]).toEqual([text, ids]);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it('of 100 kB of text come in well under a second', () => {
    for (const name of ['llama-spm', 'gpt-2']) {
      const tokenizer = tokenizerOfFile(sharedPath('tokenizer', `ggml-vocab-${name}.gguf`));
      const text = 'The little girl went to the park; вот café 漢字 123456 🙂\n'.repeat(1500);
      const start = performance.now();
      const ids = tokenizer.encode(text, { addSpecial: false });
      const elapsed = performance.now() - start;
      expect(tokenizer.decode(ids)).toBe(text);
      expect(elapsed).toBeLessThan(3000);
    }
  });

  it('take a byte-order mark for the character that it is', () => {
    const tokenizer = tokenizerOfFile(sharedPath('tokenizer', 'ggml-vocab-llama-spm.gguf'));
    expect(tokenizer.encode('\u{feff}', { addSpecial: false })).toEqual([29871, 30143]);
    expect(tokenizer.decode([29871, 30143])).toBe('\u{feff}');
  });

  it('of Phi-3 leave out the white space after an added token where its names are parsed', () => {
    const tokenizer = tokenizerOfFile(sharedPath('tokenizer', 'ggml-vocab-phi-3.gguf'));
    const encode = (text: string) => tokenizer.encode(text, { addSpecial: false, parseSpecial: true });
    expect(encode('<|user|>\nHi<|end|>\n<|assistant|>')).toEqual(encode('<|user|>Hi<|end|><|assistant|>'));
    expect(encode('<s>\nHi')).not.toEqual(encode('<s>Hi'));
  });
});

describe.skipIf(!hasSharedModels)('prompts of the reference runs (needs ../shared/models)', () => {
  interface Case {
    readonly model: string;
    readonly prompt: string;
    readonly promptTokens: number[];
    readonly greedyTokens: number[];
    readonly greedyText: string;
  }
  it.each([['.'], ['third-party']])(
    'in %s are tokenized as llama.cpp does and their continuations read the same',
    (folder) => {
      const { cases }: { cases: Case[] } = JSON.parse(
        readFileSync(sharedPath('models', folder, 'reference.json'), 'utf8'),
      );
      expect(cases.length).toBeGreaterThan(0);
      for (const model of new Set(cases.map((each) => each.model))) {
        const tokenizer = tokenizerOfFile(sharedPath('models', folder, model));
        for (const each of cases.filter((one) => one.model === model)) {
          expect([model, each.prompt, tokenizer.encode(each.prompt)]).toEqual([
            model,
            each.prompt,
            each.promptTokens,
          ]);
          expect(tokenizer.decode(each.greedyTokens)).toBe(each.greedyText);
        }
      }
    },
  );
});
