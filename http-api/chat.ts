import type { Prompt } from '../sdk/index.js';
import type { AnswerFormat } from './answer-format.js';
import { ApiError } from './api-error.js';
import type { CallDelta } from './piece.js';
import { idsOf, type ReportedToken } from './reported-token.js';
import type { ChatRequest } from './schemas.js';
import type { ServedModel } from './served-models.js';
import { tokenText } from './token-text.js';
import type { ToolRequest } from './tools/tool-request.js';

/**
 * The conversation of a `/v1/chat/completions` request, for the model's chat template. A model without one was not made for
 * chats: it continues what was said, a line a message, as `pynq-llm chat` has it.
 */
export function conversationOf(
  { messages, chat_template_kwargs: variables, template_date: date }: ChatRequest,
  { model }: ServedModel,
  tools: ToolRequest,
): Prompt {
  const said = messages.map(({ role, content, tool_calls: calls, tool_call_id: toolCallId }) => ({
    role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part) => (part.type === 'text' ? part.text : part.refusal)).join(''),
    ...(calls?.length ? { toolCalls: calls.map(({ id, function: called }) => ({ id, ...called })) } : {}),
    ...(typeof toolCallId === 'string' ? { toolCallId } : {}),
  }));
  if (model.info.hasChatTemplate)
    return {
      messages: said,
      ...(tools.text === undefined ? {} : { tools: tools.text }),
      ...(variables ? { variables } : {}),
      ...(date ? { date } : {}),
    };
  if (tools.text !== undefined || said.some(({ toolCalls }) => toolCalls))
    throw new ApiError(
      400,
      'The model has no chat template, so it can be told of no functions.',
      'unsupported',
      'tools',
    );
  return { text: said.map(({ content }) => content).join('\n') };
}

/** `chat.completion` objects and their chunks. */
export function chatFormat({ logprobs, tools }: ChatRequest, served: ServedModel): AnswerFormat {
  // A text of nothing is a text to some clients: what may become a call has none, and what follows the first piece needs none.
  const mayCall = (tools?.length ?? 0) > 0;
  return {
    idPrefix: 'chatcmpl',
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    logprobs: logprobs ? () => (tokens) => chatLogprobs(tokens, served) : undefined,
    choice: (text, calls) => ({
      message: {
        role: 'assistant',
        content: calls.length > 0 && text === '' ? null : text,
        refusal: null,
        ...(calls.length > 0 ? { tool_calls: calls.map((call) => callOf(call)) } : {}),
      },
    }),
    piece: (text, first, calls) => ({
      delta: {
        ...(first ? { role: 'assistant' } : {}),
        ...(calls.length > 0
          ? { tool_calls: calls.map((call) => ({ index: call.index, ...callOf(call) })) }
          : {}),
        ...(text !== '' ? { content: text } : first ? { content: mayCall ? null : '' } : {}),
      },
    }),
  };
}

function callOf({ id, name, arguments: given }: CallDelta) {
  return {
    ...(id === undefined ? {} : { id, type: 'function' }),
    function: { ...(name === undefined ? {} : { name }), arguments: given },
  };
}

async function chatLogprobs(tokens: readonly ReportedToken[], { piecesOf }: ServedModel): Promise<unknown> {
  const pieceOf = await piecesOf(idsOf(tokens));
  const entry = (id: number, logprob: number | null) => {
    const piece = pieceOf(id);
    return { token: tokenText(piece), logprob, bytes: [...piece] };
  };
  const content = tokens.map(({ id, logprob, top = [] }) => ({
    ...entry(id, logprob),
    top_logprobs: top.map(([other, its]) => entry(other, its)),
  }));
  return { content, refusal: null };
}
