import type { ScoreOptions } from '../sdk/index.js';
import { ApiError } from './api-error.js';
import type { Echo, ReportedToken } from './reported-token.js';
import type { CompletionPrompt } from './schemas.js';
import type { ServedModel } from './served-models.js';
import { tokenText } from './token-text.js';

/**
 * The prompt of a `/v1/completions` request with `echo`.
 * @param top likeliest tokens to report beside each of the prompt's; undefined where no log-probabilities are wanted
 * @throws ApiError 400 for a prompt without tokens, PynqLlmError LLM_..., DRIVER_..., AGENT_...
 */
export async function echoOf(
  { model, piecesOf }: ServedModel,
  prompt: CompletionPrompt,
  top: number | undefined,
  options: Omit<ScoreOptions, 'topLogprobs' | 'from'>,
): Promise<Echo> {
  const isText = typeof prompt === 'string';
  if (top === undefined) return { text: isText ? prompt : await model.detokenize(prompt.tokens), tokens: [] };
  const ids = isText ? await model.tokenize(prompt) : prompt.tokens;
  if (ids.length === 0) throw new ApiError(400, 'The prompt has no tokens.', 'invalid_value', 'prompt');
  const scores = await model.score(ids, { ...options, topLogprobs: top });
  // A token that the tokenizer put before the text is no part of it.
  const first = isText && ids[0] === model.info.bosToken ? 1 : 0;
  const text = isText ? prompt : await model.detokenize(ids);
  const tokens: ReportedToken[] = ids.slice(first).map((id, i) => ({
    id,
    logprob: scores.logprobs[first + i] ?? null,
    top: first + i === 0 ? undefined : scores.top[first + i - 1],
  }));
  if (tokens.length > 0) {
    const { id } = tokens[0];
    const piece = tokenText((await piecesOf([id]))(id));
    const begun = piece.replace(/^ /, '');
    if (!text.startsWith(piece) && text.startsWith(begun)) tokens[0] = { ...tokens[0], textAtStart: begun };
  }
  return { text, tokens };
}
