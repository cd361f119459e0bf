import type { AnswerFormat, WriteLogprobs } from './answer-format.js';
import { idsOf } from './reported-token.js';
import type { CompletionPrompt, CompletionRequest } from './schemas.js';
import type { ServedModel } from './served-models.js';
import { TextOffsets, tokenText } from './token-text.js';

/** Tokens of an answer where the request says nothing: OpenAI's default. */
export const DEFAULT_MAX_TOKENS = 16;

/** The prompts of a `/v1/completions` request: one text or list of tokens, or several. */
export function promptsOf({ prompt }: CompletionRequest): CompletionPrompt[] {
  if (typeof prompt === 'string') return [prompt];
  if (isTokens(prompt)) return [{ tokens: prompt }];
  return prompt.map((one) => (typeof one === 'string' ? one : { tokens: one }));
}

function isTokens(prompt: Exclude<CompletionRequest['prompt'], string>): prompt is number[] {
  return typeof prompt[0] === 'number';
}

/** Tokens of a prompt. */
export async function lengthOf({ model }: ServedModel, prompt: CompletionPrompt): Promise<number> {
  return typeof prompt === 'string' ? (await model.tokenize(prompt)).length : prompt.tokens.length;
}

/** `text_completion` objects. */
export function completionFormat({ logprobs }: CompletionRequest, served: ServedModel): AnswerFormat {
  return {
    idPrefix: 'cmpl',
    object: 'text_completion',
    chunkObject: 'text_completion',
    logprobs: logprobs === null || logprobs === undefined ? undefined : () => legacyLogprobs(served),
    choice: (text) => ({ text }),
    piece: (text) => ({ text }),
  };
}

/** `tokens`, `token_logprobs`, `top_logprobs` and `text_offset` of one answer, side by side, as far as it has come. */
function legacyLogprobs({ piecesOf }: ServedModel): WriteLogprobs {
  const offsets = new TextOffsets();
  return async (tokens) => {
    const pieceOf = await piecesOf(idsOf(tokens));
    const textOf = (id: number) => tokenText(pieceOf(id)).replace(/^(?=\\x)/, 'bytes:');
    return {
      tokens: tokens.map(({ id, textAtStart }) => textAtStart ?? textOf(id)),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(({ logprob: own, top = [] }) =>
        own === null ? null : Object.fromEntries(top.map(([id, logprob]) => [textOf(id), logprob])),
      ),
      text_offset: tokens.map(({ id, textAtStart }) =>
        offsets.take(textAtStart === undefined ? pieceOf(id) : Buffer.from(textAtStart)),
      ),
    };
  };
}
