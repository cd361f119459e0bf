import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bytesSource, type GgufValue, openGguf } from '../../../../gguf/index.js';
import { createTokenizer } from '../../../../llm/tokenizer/index.js';
import { preTokenizerOf, splitWords } from '../../../../llm/tokenizer/pre-tokenizers.js';
import { bytePairMetadata, hasSharedVocabularies, sharedPath } from './vocabularies.js';

const KIT = sharedPath('kit', 'tokenizer');

interface Kit {
  readonly texts: readonly string[];
  readonly files: Readonly<Record<string, number[][]>>;
  readonly pre: Readonly<Record<string, number[][]>>;
}

const kit: Kit | undefined = existsSync(KIT)
  ? JSON.parse(readFileSync(`${KIT}/tokens-public.json`, 'utf8'))
  : undefined;

function zipped(file: string): ReadonlyMap<string, GgufValue> {
  return openGguf(bytesSource(gunzipSync(readFileSync(`${KIT}/${file}.gz`)))).metadata;
}

describe.skipIf(kit === undefined || !hasSharedVocabularies)(
  'llama.cpp token ids of 85 texts (needs ../shared/kit and ../shared/tokenizer)',
  () => {
    const { texts, files, pre } = kit ?? { texts: [], files: {}, pre: {} };
    const vocabularies = Object.keys(files).filter((file) => existsSync(`${KIT}/${file}.gz`));

    it.each(vocabularies)('are exactly ours with the vocabulary %s', (file) => {
      const tokenizer = createTokenizer(zipped(file));
      for (const [i, text] of texts.entries())
        expect([text, tokenizer.encode(text, { addSpecial: false })]).toEqual([text, files[file][i]]);
      const cases = readFileSync(`${KIT}/${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n').slice(0, -1);
      const lines = readFileSync(`${KIT}/${file}.out`, 'utf8').split('\n').slice(0, -1);
      for (const [i, text] of cases.entries()) {
        const ids = lines[i].split(' ').filter(Boolean).map(Number);
        expect([text, tokenizer.encode(text, { addSpecial: false })]).toEqual([text, ids]);
      }
    });

    it.each(Object.keys(pre))('are exactly ours with the pre-tokenizer %s', (name) => {
      const tokenizer = createTokenizer(tokenizerMetadata().set('tokenizer.ggml.pre', name));
      for (const [i, text] of texts.entries())
        expect([text, tokenizer.encode(text, { addSpecial: false })]).toEqual([text, pre[name][i]]);
    });
  },
);

let gpt2: ReadonlyMap<string, GgufValue> | undefined;

/** Read once: all pre-tokenizers are tried with it. */
function tokenizerMetadata(): Map<string, GgufValue> {
  gpt2 ??= openGguf(bytesSource(readFileSync(sharedPath('tokenizer', 'ggml-vocab-gpt-2.gguf')))).metadata;
  return new Map(gpt2);
}

describe('a pre-tokenizer', () => {
  it('that is not known is named with the nearest one that is', () => {
    expect(() => preTokenizerOf('qwen3')).toThrow(/LLM_TOKENIZER_UNSUPPORTED.*"qwen3".*nearest.*"qwen2"/);
    expect(() => preTokenizerOf('LLaMA-BPE2')).toThrow(/nearest.*"llama-bpe"/);
  });

  it('decides whether a word that is a token needs merges', () => {
    const metadata = bytePairMetadata();
    const tokens = [...(metadata.get('tokenizer.ggml.tokens') as string[]), 'zx'];
    const types = Int32Array.from([...(metadata.get('tokenizer.ggml.token_type') as Int32Array), 1]);
    const encode = (pre: string) =>
      createTokenizer(
        bytePairMetadata({
          'tokenizer.ggml.tokens': tokens,
          'tokenizer.ggml.token_type': types,
          'tokenizer.ggml.pre': pre,
        }),
      ).encode('zx', { addSpecial: false }).length;
    expect(encode('lfm2')).toBe(1);
    expect(encode('smaug-bpe')).toBe(2);
  });

  it('of every kind leaves nothing out', () => {
    const text = 'Hello 12345\n\n  world’s tab\t! iPhone ½ 漢字';
    for (const pre of [
      'kimi-k2',
      'youtu',
      'chameleon',
      'afmoe',
      'gpt-4o',
      'qwen35',
      'deepseek-coder',
      'deepseek-llm',
      'superbpe',
      'bloom',
      'dbrx',
    ])
      expect([...splitWords(text, preTokenizerOf(pre))].join(''), pre).toBe(text);
  });
});
