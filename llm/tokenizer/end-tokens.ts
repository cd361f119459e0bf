import { TokenType } from './token-type.js';

/**
 * Texts of tokens that end a turn or a document. Many files name only one end token by id, while the model was trained to
 * end with another, so that llama.cpp knows these by their text and takes them for control tokens whatever the file says.
 */
const END_TEXTS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<|end_of_text|>',
  '<|endoftext|>',
  '<end_of_turn>',
  '<end_of_utterance>',
  '<turn|>',
  '<|tool_response>',
  '<eos>',
  '</s>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '[e~[',
  '<｜end▁of▁sentence｜>',
]);

/** Tokens for filling in the middle: by the first of these keys that names one, else the first token of one of these texts. */
interface MiddleToken {
  readonly keys: readonly string[];
  readonly texts: readonly string[];
  /** Whether a generation ends with it: in a completion it begins another file. */
  readonly ends: boolean;
}

const MIDDLE_TOKENS: readonly MiddleToken[] = [
  {
    keys: ['fim_pre', 'prefix'],
    texts: [
      '<|fim_prefix|>',
      '<fim-prefix>',
      '<fim_prefix>',
      '<｜fim▁begin｜>',
      '<PRE>',
      '▁<PRE>',
      '<|code_prefix|>',
      '<|prefix|>',
    ],
    ends: false,
  },
  {
    keys: ['fim_suf', 'suffix'],
    texts: [
      '<|fim_suffix|>',
      '<fim-suffix>',
      '<fim_suffix>',
      '<｜fim▁hole｜>',
      '<SUF>',
      '▁<SUF>',
      '<|code_suffix|>',
      '<|suffix|>',
    ],
    ends: false,
  },
  {
    keys: ['fim_mid', 'middle'],
    texts: [
      '<|fim_middle|>',
      '<fim-middle>',
      '<fim_middle>',
      '<｜fim▁end｜>',
      '<MID>',
      '▁<MID>',
      '<|code_middle|>',
      '<|middle|>',
    ],
    ends: false,
  },
  {
    keys: ['fim_pad'],
    texts: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
    ends: true,
  },
  {
    keys: ['fim_rep'],
    texts: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
    ends: true,
  },
  { keys: ['fim_sep'], texts: ['<|file_sep|>'], ends: true },
];

/** gpt-oss frames its channels with these; they are shown, and read in every text. */
const FRAME_TEXTS: ReadonlySet<string> = new Set([
  '<|channel|>',
  '<|message|>',
  '<|start|>',
  '<|constrain|>',
]);

/**
 * The ids that end a generation, as llama.cpp finds them. Tokens known by their text get the type that llama.cpp gives them,
 * in `types`.
 *
 * @param idOf the id that a metadata key `tokenizer.ggml.NAME_token_id` names, or its default
 */
export function findEndIds(
  texts: readonly string[],
  types: Uint8Array,
  idOf: (name: string) => number | undefined,
): Set<number> {
  const endIds = new Set<number>();
  for (const { keys, texts: names, ends } of MIDDLE_TOKENS) {
    const named = keys.map(idOf).findLast((id) => id !== undefined);
    const known = new Set(names);
    const id = named ?? texts.findIndex((text) => known.has(text));
    if (id < 0) continue;
    if (named === undefined) types[id] = TokenType.control;
    if (ends) endIds.add(id);
  }
  for (const [id, text] of texts.entries()) {
    if (END_TEXTS.has(text)) {
      endIds.add(id);
      types[id] = TokenType.control;
    } else if (FRAME_TEXTS.has(text)) types[id] = TokenType.userDefined;
  }
  for (const id of ['eos', 'eot', 'eom'].map(idOf)) if (id !== undefined) endIds.add(id);
  takeBack(endIds, texts, types);
  return endIds;
}

/** Texts that end nothing beside certain others: there is no other way to tell whose tokens they are. */
function takeBack(endIds: Set<number>, texts: readonly string[], types: Uint8Array): void {
  const ends = new Map([...endIds].map((id) => [texts[id], id]));
  const have = (...names: readonly string[]) => names.every((name) => ends.has(name));
  const endOfMessage = ends.get('<|end|>');
  // gpt-oss and Solar Open end a message within an answer so.
  const isHarmony = have('<|return|>', '<|call|>') || have('<|return|>', '<|calls|>');
  const isSolar = have('<|flush|>', '<|call|>') || have('<|flush|>', '<|calls|>');
  if (endOfMessage !== undefined && (isHarmony || isSolar)) {
    endIds.delete(endOfMessage);
    types[endOfMessage] = TokenType.userDefined;
  }
  // Gemma 4 has it as HTML's tag.
  const closingTag = ends.get('</s>');
  if (closingTag !== undefined && have('<|tool_response>')) {
    endIds.delete(closingTag);
    types[closingTag] = TokenType.normal;
  }
}
