import { PynqLlmError } from '../../errors/index.js';
import { nearestName } from './nearest-name.js';

/** How a byte-pair vocabulary cuts text into words before it merges. */
export interface PreTokenizer {
  /** Applied one after the other: each cuts the words so far into its matches and what lies between them. */
  readonly patterns: readonly RegExp[];
  /** Whether a word that is a token as a whole is taken as it is, without merging. */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with BOS where the file does not say. */
  readonly addBos: boolean;
}

/** The tokenizers' \s is Unicode's White_Space; JavaScript's takes in the byte-order mark and leaves out U+0085. */
const pattern = (source: string) =>
  new RegExp(
    source
      .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
      .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`),
    'gu',
  );
const { raw } = String;

const contractions = raw`'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])`;
const spaces = raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const GPT2_WORDS = pattern(raw`'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`);
/** LLaMA 3's pattern and its kin differ in how many digits stand together. */
const llama3 = (digits: string, marks = '') =>
  pattern(
    raw`${contractions}|[^\r\n\p{L}\p{N}]?[\p{L}${marks}]+|${digits}| ?[^\s\p{L}${marks}\p{N}]+[\r\n]*|${spaces}`,
  );
/** Words that a capital begins. Letters beyond ASCII count as capital and as small, as in llama.cpp. */
const cased = (ending: string, digits: string) => {
  const [upper, lower] = ['(?![a-z])', '(?![A-Z])'].map((not) => raw`(?:${not}\p{L})`);
  return pattern(
    raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${ending}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${ending}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`,
  );
};
/** Where llama.cpp takes letters of every case and marks for the same. */
const uncased = (digits: string) =>
  pattern(
    raw`[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:${contractions})?|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`,
  );
const THREE_DIGITS = raw`\p{N}{1,3}`;
const DEEPSEEK3_WORDS = pattern(
  raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_\x60{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${spaces}`,
);
const KANA_AND_HAN = '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+';
/** Three at a time from the right, the rest first. */
const DIGITS_FROM_RIGHT = pattern(raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`);
/** Ideographs by blocks, as llama.cpp has them. */
const HAN = raw`\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ebef}\u{2f800}-\u{2fa1f}`;
/** Kana, and scripts of South-East Asia that put no spaces between words, beside ideographs and Hangul; the range from U+8C48 is as in llama.cpp. */
const ASIAN = raw`[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+`;
const BLOOM_WORDS = pattern(raw` ?[^(\s|.,!?…。，、।۔،)]+`);
/** deepseek-llm's letters: cased ones of an older Unicode. */
const DEEPSEEK_LETTERS = raw`A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}`;

const plain = (...patterns: RegExp[]): PreTokenizer => ({ patterns, ignoreMerges: false, addBos: false });
const whole = (...patterns: RegExp[]): PreTokenizer => ({ patterns, ignoreMerges: true, addBos: false });

/** By `tokenizer.ggml.pre`, as llama.cpp assigns the names. */
const GROUPS: readonly (readonly [names: string, PreTokenizer])[] = [
  ['default', plain(pattern(raw`[\p{P}$+<=>^~|]+`), GPT2_WORDS, pattern(raw`\p{N}+`), pattern('[0-9]{3}'))],
  [
    'gpt-2 phi-2 olmo jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt jais trillion granite-docling exaone4',
    plain(GPT2_WORDS),
  ],
  [
    'llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano',
    { patterns: [llama3(THREE_DIGITS)], ignoreMerges: true, addBos: true },
  ],
  ['dbrx smaug-bpe chatglm-bpe glm4', plain(llama3(THREE_DIGITS))],
  [
    'qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2',
    plain(llama3(raw`\p{N}`)),
  ],
  ['qwen35', plain(llama3(raw`\p{N}`, raw`\p{M}`))],
  [
    'smollm starcoder refact codeshell command-r exaone minerva-7b mellum2',
    plain(pattern(raw`\p{N}`), GPT2_WORDS),
  ],
  ['tekken', { patterns: [cased('', raw`\p{N}`)], ignoreMerges: true, addBos: true }],
  ['gpt-4o llama4 kanana2 talkie minimax-m2', plain(cased(raw`(?:${contractions})?`, THREE_DIGITS))],
  ['falcon', plain(pattern(raw`[\p{P}$+<=>^~|\x60]+`), GPT2_WORDS, pattern('[0-9]{3}'))],
  ['superbpe', plain(pattern(raw`\p{N}+`), pattern(raw`(?=(?:\d{3})+(?!\d))`))],
  ['minicpm5', whole(pattern(THREE_DIGITS), llama3(raw`\p{N}+`))],
  ['poro-chat bloom gpt3-finnish', plain(BLOOM_WORDS)],
  ['viking', plain(BLOOM_WORDS, pattern(raw`\p{N}`))],
  [
    'deepseek-coder',
    plain(
      pattern(raw`[\r\n]`),
      pattern(raw`\s?\p{L}+`),
      pattern(raw`\s?\p{P}+`),
      pattern('[一-龥ࠀ-一가-퟿]+'),
      pattern(raw`\p{N}`),
    ),
  ],
  [
    'deepseek-llm',
    plain(
      pattern(raw`[\r\n]`),
      pattern(raw`\s?[${DEEPSEEK_LETTERS}]+`),
      pattern(raw`\s?[!-\/:-~！-／：-～‘-‟　-。]+`),
      pattern(raw`\s+$`),
      pattern('[一-龥ࠀ-一가-퟿]+'),
      pattern(raw`\p{N}+`),
    ),
  ],
  [
    'deepseek-v3 hunyuan-dense joyai-llm',
    plain(pattern(THREE_DIGITS), pattern(KANA_AND_HAN), DEEPSEEK3_WORDS),
  ],
  ['afmoe', plain(DIGITS_FROM_RIGHT, pattern(ASIAN), DEEPSEEK3_WORDS)],
  ['tiny_aya cohere2moe', plain(DIGITS_FROM_RIGHT, uncased(THREE_DIGITS))],
  [
    'kimi-k2',
    plain(
      pattern(
        raw`[${HAN}]+|[^\r\n\p{L}\p{N}]?(?:(?![${HAN}])\p{L})+(?:${contractions})?|${THREE_DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|${spaces}`,
      ),
    ),
  ],
  [
    'youtu',
    whole(
      pattern(
        raw`[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|${KANA_AND_HAN}`,
      ),
      uncased(raw`\p{N}`),
    ),
  ],
  [
    'chameleon',
    {
      patterns: [
        pattern('<sentinel:[0-9]+>'),
        pattern('IMGIMG[A-I]{1,4}Z'),
        pattern(raw`[\t\n]|    |  `),
        pattern(raw`\p{N}`),
        pattern(raw`[\p{P}!-\/:-@\[-\x60\{-~]`),
        GPT2_WORDS,
      ],
      ignoreMerges: false,
      addBos: true,
    },
  ],
  [
    'bailingmoe bailingmoe2 llada-moe',
    plain(
      pattern(
        raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
      ),
    ),
  ],
  [
    'seed-coder',
    plain(pattern(raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|${spaces}`)),
  ],
];

const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map(
  GROUPS.flatMap(([names, preTokenizer]) => names.split(' ').map((name) => [name, preTokenizer] as const)),
);

/**
 * The pre-tokenizer of this name.
 *
 * @throws PynqLlmError LLM_TOKENIZER_UNSUPPORTED
 */
export function preTokenizerOf(name: string): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found !== undefined) return found;
  const known = [...PRE_TOKENIZERS.keys()];
  throw new PynqLlmError(
    'LLM_TOKENIZER_UNSUPPORTED',
    `The pre-tokenizer ${JSON.stringify(name.slice(0, 64))} (tokenizer.ggml.pre) is not known; the nearest of the ${known.length} known names is ${JSON.stringify(nearestName(name, known))}.`,
    { context: { preTokenizer: name.slice(0, 64), known } },
  );
}

/** Cuts `text` into words, one at a time; joined they are the text again. */
export function splitWords(text: string, { patterns }: PreTokenizer): Iterable<string> {
  return patterns.reduce<Iterable<string>>(splitByMatches, [text]);
}

function* splitByMatches(texts: Iterable<string>, by: RegExp): Generator<string, void, void> {
  for (const text of texts) {
    let done = 0;
    for (const match of text.matchAll(by)) {
      if (match.index > done) yield text.slice(done, match.index);
      // A pattern may only look at what is around a place.
      if (match[0] !== '') yield match[0];
      done = match.index + match[0].length;
    }
    if (done < text.length) yield text.slice(done);
  }
}
