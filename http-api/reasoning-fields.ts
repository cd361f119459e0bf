import { ApiError } from './api-error.js';

const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'];

/**
 * The variables of the chat template, with what is said elsewhere of how much a model is to think: `reasoning_effort`, `reasoning.effort`
 * of responses, and `enable_thinking`. Templates of models that think have variables of these names, as llama.cpp and vLLM set them; others think the same in any case.
 * What stands in `chat_template_kwargs` goes first.
 * @throws ApiError 400
 */
export function reasoningOf(fields: Readonly<Record<string, unknown>>): unknown {
  const { reasoning, enable_thinking: enabled, thinking, chat_template_kwargs: variables } = fields;
  if (thinking !== null && thinking !== undefined)
    throw new ApiError(
      400,
      '"thinking" is not supported: give reasoning_effort, or enable_thinking.',
      'unsupported',
      'thinking',
    );
  const ofResponses = typeof reasoning === 'object' && reasoning !== null && 'effort' in reasoning;
  const [where, effort] = ofResponses
    ? ['reasoning.effort', reasoning.effort]
    : ['reasoning_effort', fields.reasoning_effort];
  const said: Record<string, unknown> = {};
  if (effort !== null && effort !== undefined) {
    if (typeof effort !== 'string' || !EFFORTS.includes(effort))
      throw new ApiError(400, `"${where}" is one of ${EFFORTS.join(', ')}.`, 'invalid_value', where);
    said.reasoning_effort = effort;
    if (effort === 'none') said.enable_thinking = false;
  }
  if (enabled !== null && enabled !== undefined) said.enable_thinking = enabled;
  if (Object.keys(said).length === 0) return variables;
  return typeof variables === 'object' && variables !== null && !Array.isArray(variables)
    ? { ...said, ...variables }
    : (variables ?? said);
}
