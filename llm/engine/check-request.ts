import { PynqLlmError } from '../../errors/index.js';
import type { Model } from '../model/model.js';
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
  const { prompt, continueFrom = [], maxTokens = model.contextLength } = request;
  checkPrompt(model, prompt);
  for (const token of continueFrom) model.checkToken(token);
  if (!Number.isInteger(maxTokens) || maxTokens < 1)
    throw new PynqLlmError(
      'LLM_REQUEST_INVALID',
      `maxTokens is ${maxTokens}; it has to be a whole number from 1.`,
    );
  checkRoom(model, request, branches);
  return maxTokens;
}

/** The texts of the model's own that end a request. A document of a response format ends by its form. */
export function endTexts({ tokenizer }: Model, request: GenerateRequest): readonly string[] {
  const { modelStop = true, ignoreEos = false, responseFormat } = request;
  return modelStop && !ignoreEos && responseFormat === undefined ? tokenizer.endTexts : [];
}

/** @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE */
export function checkPrompt(model: Model, prompt: readonly number[]): void {
  if (prompt.length === 0) throw new PynqLlmError('LLM_PROMPT_EMPTY', 'The prompt has no tokens.');
  checkPromptLength(prompt.length, model.contextLength);
  for (const token of prompt) model.checkToken(token);
}

/** @param contextLength tokens that the model's context holds @throws PynqLlmError LLM_PROMPT_TOO_LONG */
export function checkPromptLength(promptTokens: number, contextLength: number): void {
  if (promptTokens <= contextLength) return;
  throw new PynqLlmError(
    'LLM_PROMPT_TOO_LONG',
    `The prompt has ${promptTokens} tokens; the context holds ${contextLength}.`,
    { context: { promptTokens, contextLength } },
  );
}

/** The longest sequence, prompt and continuation, that `branches` continuations of a prompt can have if they have all memory. */
export function roomOf({ kvPool }: Model, prompt: readonly number[], branches: number): number {
  return kvPool.roomFor(kvPool.pinnedOf(prompt), branches, prompt.length);
}

/** Refuses what could not be finished if it had all memory to itself. The last token is not fed, so it needs no place. */
function checkRoom(model: Model, { prompt, maxTokens = 1 }: GenerateRequest, branches: number): void {
  const most = Math.min(maxTokens, model.contextLength - prompt.length + 1);
  const needed = prompt.length + most - 1;
  // Before the second token there are no branches.
  const room = roomOf(model, prompt, most > 1 ? branches : 1);
  if (needed <= room) return;
  const [times, each] = branches > 1 ? [`${branches} times `, ' each'] : ['', ''];
  throw new PynqLlmError(
    'LLM_KV_TOO_LONG',
    `A prompt of ${prompt.length} tokens and ${times}${maxTokens} more need keys and values of ${needed} tokens${each}; there is room for ${room} beside what is pinned.`,
    { context: { promptTokens: prompt.length, maxTokens, room } },
  );
}
