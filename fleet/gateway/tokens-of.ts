import { PynqLlmError } from '../../errors/index.js';
import { type Conversation, MAX_PROMPT_TOKENS, type Params, type WirePrompt } from '../../protocol/index.js';
import type { Calls } from './calls.js';

/**
 * The tokens of a prompt, by a board that has the model: the same wherever it is continued.
 * @throws PynqLlmError FLEET_NO_BOARDS, BUS_..., LLM_PROMPT_TOO_LONG, LLM_CHAT_...
 */
export async function promptTokens(
  calls: Calls,
  model: string,
  prompt: WirePrompt,
): Promise<readonly number[]> {
  if ('tokens' in prompt) return prompt.tokens;
  const { tokens } =
    'messages' in prompt
      ? await calls.askAny(model, 'models.applyTemplate', templateOf(prompt, model))
      : await calls.askAny(model, 'models.tokenize', { ...prompt, model });
  if (tokens.length <= MAX_PROMPT_TOKENS) return tokens;
  throw new PynqLlmError('LLM_PROMPT_TOO_LONG', `The prompt has ${tokens.length} tokens.`);
}

/** A copy of its own, which can be sent. */
function templateOf(
  { messages, variables, ...rest }: Conversation,
  model: string,
): Params<'models.applyTemplate'> {
  return {
    ...rest,
    model,
    messages: [...messages],
    ...(variables && { variables: { ...variables } }),
  };
}
