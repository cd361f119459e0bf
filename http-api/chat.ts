import type { Prompt } from '../sdk/index.js';
import type { AnswerFormat } from './answer-format.js';
import { idsOf, type ReportedToken } from './reported-token.js';
import type { ChatRequest } from './schemas.js';
import type { ServedModel } from './served-models.js';
import { tokenText } from './token-text.js';

/**
 * The conversation of a `/v1/chat/completions` request, for the model's chat template. A model without one was not made for
 * chats: it continues what was said, a line a message, as `pynq-llm chat` has it.
 */
export function conversationOf({ messages }: ChatRequest, { model }: ServedModel): Prompt {
  const said = messages.map(({ role, content }) => ({
    role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part) => (part.type === 'text' ? part.text : part.refusal)).join(''),
  }));
  if (model.info.hasChatTemplate) return { messages: said };
  return { text: said.map(({ content }) => content).join('\n') };
}

/** `chat.completion` objects and their chunks. */
export function chatFormat({ logprobs }: ChatRequest, served: ServedModel): AnswerFormat {
  return {
    idPrefix: 'chatcmpl',
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    logprobs: logprobs ? () => (tokens) => chatLogprobs(tokens, served) : undefined,
    choice: (text) => ({ message: { role: 'assistant', content: text, refusal: null } }),
    piece: (text, first) => ({ delta: { ...(first ? { role: 'assistant' } : {}), content: text } }),
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
