import { PynqLlmError } from '../../errors/index.js';

/** How a byte-pair vocabulary cuts text into words before it merges. */
export interface PreTokenizer {
  /** Applied one after the other: each cuts the words so far into its matches and what lies between them. */
  readonly patterns: readonly RegExp[];
  /** Whether a word that is a token as a whole is taken as it is, without merging. */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with BOS where the file does not say. */
  readonly addBos: boolean;
}

// The tokenizers' \s is Unicode's White_Space; JavaScript's takes in the byte-order mark and leaves out U+0085.
const space = String.raw`\p{White_Space}`;
const notLetterNumberSpace = String.raw`[^\p{White_Space}\p{L}\p{N}]`;
const contractions = `'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])`;
const spaces = String.raw`${space}*[\r\n]+|${space}+(?!\P{White_Space})|${space}+`;

const pattern = (source: string) => new RegExp(source, 'gu');
const GPT2 = pattern(
  String.raw`'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?${notLetterNumberSpace}+|${space}+(?!\P{White_Space})|${space}+`,
);
/** LLaMA 3's pattern and its kin differ in how many digits stand together. */
const llama3 = (digits: string) =>
  pattern(
    String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?${notLetterNumberSpace}+[\r\n]*|${spaces}`,
  );
const TEKKEN_UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const TEKKEN_LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const TEKKEN = pattern(
  String.raw`[^\r\n\p{L}\p{N}]?${TEKKEN_UPPER}*${TEKKEN_LOWER}+|[^\r\n\p{L}\p{N}]?${TEKKEN_UPPER}+${TEKKEN_LOWER}*|\p{N}| ?${notLetterNumberSpace}+[\r\n/]*|${spaces}`,
);

const plain = (...patterns: RegExp[]): PreTokenizer => ({ patterns, ignoreMerges: false, addBos: false });
const DEFAULT = plain(
  pattern(String.raw`[\p{P}$+<=>^~|]+`),
  GPT2,
  pattern(String.raw`\p{N}+`),
  pattern('[0-9]{3}'),
);
const GPT2_WORDS = plain(GPT2);
const LLAMA3: PreTokenizer = { patterns: [llama3(String.raw`\p{N}{1,3}`)], ignoreMerges: true, addBos: true };
const QWEN2 = plain(llama3(String.raw`\p{N}`));
const SINGLE_DIGITS = plain(pattern(String.raw`\p{N}`), GPT2);

/** By `tokenizer.ggml.pre`; the patterns are those of the models' own tokenizers, as llama.cpp assigns the names. */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ['default', DEFAULT],
  ['gpt-2', GPT2_WORDS],
  ['phi-2', GPT2_WORDS],
  ['olmo', GPT2_WORDS],
  ['llama-bpe', LLAMA3],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['falcon3', LLAMA3],
  ['qwen2', QWEN2],
  ['deepseek-r1-qwen', QWEN2],
  ['megrez', QWEN2],
  ['stablelm2', QWEN2],
  ['smollm', SINGLE_DIGITS],
  ['starcoder', SINGLE_DIGITS],
  ['refact', SINGLE_DIGITS],
  ['codeshell', SINGLE_DIGITS],
  ['command-r', SINGLE_DIGITS],
  ['exaone', SINGLE_DIGITS],
  ['minerva-7b', SINGLE_DIGITS],
  ['tekken', { patterns: [TEKKEN], ignoreMerges: true, addBos: true }],
]);

/**
 * The pre-tokenizer of this name.
 *
 * @throws PynqLlmError LLM_TOKENIZER_UNSUPPORTED
 */
export function preTokenizerOf(name: string): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found !== undefined) return found;
  throw new PynqLlmError(
    'LLM_TOKENIZER_UNSUPPORTED',
    `The pre-tokenizer ${JSON.stringify(name)} (tokenizer.ggml.pre) is not known; known are ${[...PRE_TOKENIZERS.keys()].join(', ')}.`,
    { context: { preTokenizer: name } },
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
      yield match[0];
      done = match.index + match[0].length;
    }
    if (done < text.length) yield text.slice(done);
  }
}
