import { PynqLlmError } from '../errors/index.js';
import type { Model } from './model.js';
import type { GenerateRequest } from './request.js';

/**
 * Refuses what can never be generated, before anything is computed.
 *
 * @param branches continuations that need keys and values of their own
 * @returns the most tokens that may be generated
 * @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_REQUEST_INVALID, LLM_KV_TOO_LONG,
 *   LLM_KV_MEMORY
 */
export function checkRequest(model: Model, request: GenerateRequest, branches = 1): number {
  const { prompt, maxTokens = model.contextLength } = request;
  checkPrompt(model, prompt);
  if (!Number.isInteger(maxTokens) || maxTokens < 1)
    throw new PynqLlmError(
      'LLM_REQUEST_INVALID',
      `maxTokens is ${maxTokens}; it has to be a whole number from 1.`,
    );
  checkRoom(model, request, branches);
  return maxTokens;
}

/** @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE */
export function checkPrompt(model: Model, prompt: readonly number[]): void {
  if (prompt.length === 0) throw new PynqLlmError('LLM_PROMPT_EMPTY', 'The prompt has no tokens.');
  if (prompt.length > model.contextLength)
    throw new PynqLlmError(
      'LLM_PROMPT_TOO_LONG',
      `The prompt has ${prompt.length} tokens; the context holds ${model.contextLength}.`,
      { context: { promptTokens: prompt.length, contextLength: model.contextLength } },
    );
  for (const token of prompt) model.checkToken(token);
}

/** Refuses what could not be finished if it had all memory to itself. The last token is not fed, so it needs no place. */
function checkRoom(model: Model, { prompt, maxTokens = 1 }: GenerateRequest, branches: number): void {
  const pool = model.kvPool;
  const room = pool.roomFor(branches, pool.pinnedOf(prompt));
  const most = Math.min(maxTokens, model.contextLength - prompt.length + 1);
  const needed = prompt.length + branches * (most - 1);
  if (needed <= room) return;
  throw new PynqLlmError(
    'LLM_KV_TOO_LONG',
    `A prompt of ${prompt.length} tokens and ${branches > 1 ? `${branches} times ` : ''}${maxTokens} more need keys and values of ${needed} tokens; there is room for ${room} beside what is pinned.`,
    { context: { promptTokens: prompt.length, maxTokens, room } },
  );
}
