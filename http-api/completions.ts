import type { AnswerFormat } from './answer.js';
import type { ReportedToken } from './echo.js';
import type { CompletionRequest } from './schemas.js';
import type { ServedModel } from './served-models.js';

/** Tokens of an answer where the request says nothing: OpenAI's default. */
export const DEFAULT_MAX_TOKENS = 16;

/** A text, or its tokens. */
export type CompletionPrompt = string | { readonly tokens: readonly number[] };

/** The prompts of a `/v1/completions` request: one text or list of tokens, or several. */
export function promptsOf({ prompt }: CompletionRequest): CompletionPrompt[] {
  if (typeof prompt === 'string') return [prompt];
  if (isTokens(prompt)) return [{ tokens: prompt }];
  return prompt.map((one) => (typeof one === 'string' ? one : { tokens: one }));
}

function isTokens(prompt: Exclude<CompletionRequest['prompt'], string>): prompt is number[] {
  return typeof prompt[0] === 'number';
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

/** `tokens`, `token_logprobs`, `top_logprobs` and `text_offset`, side by side; offsets in UTF-16 units, as texts are. */
function legacyLogprobs({ pieceOf }: ServedModel): (tokens: readonly ReportedToken[]) => Promise<unknown> {
  let offset = 0;
  return async (reported) => {
    const tokens = await Promise.all(reported.map(({ id, text }) => text ?? pieceOf(id)));
    const top = await Promise.all(
      reported.map(async ({ logprob: own, top: likeliest = [] }) =>
        own === null
          ? null
          : Object.fromEntries(
              await Promise.all(
                likeliest.map(async ([id, logprob]) => [await pieceOf(id), logprob] as const),
              ),
            ),
      ),
    );
    const offsets = tokens.map((piece) => {
      const at = offset;
      offset += piece.length;
      return at;
    });
    return {
      tokens,
      token_logprobs: reported.map(({ logprob }) => logprob),
      top_logprobs: top,
      text_offset: offsets,
    };
  };
}
