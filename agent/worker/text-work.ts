import { PAUSE_AFTER, type Pausable } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  CHAT_ROLES,
  ChatTemplate,
  type Conversation,
  type EncodeOptions,
  type Model,
  type Tokenizer,
} from '../../llm/index.js';
import {
  MAX_PROMPT_TOKENS,
  MAX_TEXT_LENGTH,
  type Conversation as WireConversation,
  type WirePrompt,
} from '../../protocol/index.js';
import type { ClientPrograms } from './program-thread.js';

const NO_BYTES = new Uint8Array();

/**
 * The tokens of a prompt.
 * @param addGenerationPrompt of a conversation: whether the beginning of the assistant's answer follows
 * @throws PynqLlmError LLM_PROMPT_TOO_LONG, LLM_TEXT_UNENCODABLE, LLM_CHAT_...
 */
export function* promptTokens(
  model: Model,
  prompt: WirePrompt,
  addGenerationPrompt: boolean,
  programs: ClientPrograms,
): Pausable<readonly number[]> {
  if ('tokens' in prompt) return prompt.tokens;
  const most = model.contextLength;
  if ('messages' in prompt)
    return yield* chatTokens(model.tokenizer, prompt, addGenerationPrompt, programs, most);
  return yield* textTokens(
    model.tokenizer,
    prompt.text,
    { parseSpecial: prompt.parseSpecial ?? false },
    most,
  );
}

/** The tokens of a text. @throws PynqLlmError LLM_PROMPT_TOO_LONG for more than `most`, LLM_TEXT_UNENCODABLE */
export function* textTokens(
  tokenizer: Tokenizer,
  text: string,
  options: EncodeOptions,
  most: number,
): Pausable<number[]> {
  checkLeast(tokenizer.leastTokens(text, options), most);
  const tokens = yield* tokenizer.encodePausably(text, options, most);
  checkLeast(tokens.length, most);
  return tokens;
}

/** The tokens of a conversation. @throws PynqLlmError LLM_PROMPT_TOO_LONG for more than `most`, LLM_CHAT_... */
export function* chatTokens(
  tokenizer: Tokenizer,
  conversation: WireConversation,
  addGenerationPrompt: boolean,
  programs: ClientPrograms,
  most: number,
): Pausable<number[]> {
  const template = new ChatTemplate(tokenizer);
  const render = function* (
    ...[frame, said, adds]: Parameters<Parameters<ChatTemplate['encodePausably']>[2]>
  ) {
    const text = yield* programs.ask('chat', { frame, conversation: said, addGenerationPrompt: adds });
    // A template may leave out what an assistant thought, so that only now is there a bound.
    checkLeast(tokenizer.leastTokens(text, { parseSpecial: true }), most);
    return text;
  };
  const tokens = yield* template.encodePausably(
    toConversation(conversation),
    addGenerationPrompt,
    render,
    most,
  );
  checkLeast(tokens.length, most);
  return tokens;
}

/** The text of tokens. @throws PynqLlmError LLM_TOKEN_RANGE */
export function* textOf(tokenizer: Tokenizer, tokens: readonly number[]): Pausable<string> {
  const stream = tokenizer.stream();
  let text = '';
  for (const [i, id] of tokens.entries()) {
    text += stream.push(id);
    if (i % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
  }
  return text + stream.flush();
}

/** What each token stands for; nothing for hidden ones. @throws PynqLlmError LLM_TOKEN_RANGE */
export function* piecesOf(tokenizer: Tokenizer, tokens: readonly number[]): Pausable<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for (const id of tokens) {
    pieces.push(tokenizer.isHidden(id) ? NO_BYTES : tokenizer.pieceBytes(id));
    if (pieces.length % PAUSE_AFTER === 0) yield;
  }
  return pieces;
}

/** UTF-16 units of the texts of a prompt, or its tokens. @throws PynqLlmError LLM_PROMPT_TOO_LONG */
export function lengthOfPrompt(prompt: WirePrompt): number {
  if ('tokens' in prompt) return prompt.tokens.length;
  return 'text' in prompt ? prompt.text.length : lengthOfConversation(prompt);
}

/** UTF-16 units of a conversation, which has the limit of one text. @throws PynqLlmError LLM_PROMPT_TOO_LONG */
export function lengthOfConversation({ messages, tools = '' }: WireConversation): number {
  const ofCalls = ({ toolCalls = [] }: WireConversation['messages'][number]) =>
    toolCalls.reduce((sum, call) => sum + call.arguments.length, 0);
  const length = messages.reduce((sum, one) => sum + one.content.length + ofCalls(one), tools.length);
  if (length <= MAX_TEXT_LENGTH) return length;
  throw new PynqLlmError(
    'LLM_PROMPT_TOO_LONG',
    `The messages are ${length} characters long together; ${MAX_TEXT_LENGTH} are allowed.`,
    { context: { length } },
  );
}

function checkLeast(tokens: number, most: number): void {
  if (tokens <= most) return;
  const holds =
    most === MAX_PROMPT_TOKENS ? `an answer holds ${MAX_PROMPT_TOKENS}` : `the context holds ${most}`;
  throw new PynqLlmError('LLM_PROMPT_TOO_LONG', `The text has ${tokens} tokens or more; ${holds}.`, {
    context: { promptTokens: tokens, contextLength: most },
  });
}

function toConversation({ messages, ...rest }: WireConversation): Conversation {
  return { ...rest, messages: messages.map((message) => ({ ...message, role: roleOf(message.role) })) };
}

function roleOf(role: string): (typeof CHAT_ROLES)[number] {
  const known = CHAT_ROLES.find((one) => one === role);
  if (known !== undefined) return known;
  throw new PynqLlmError(
    'LLM_CHAT_MESSAGES',
    `"${role}" is no role of a message; ${CHAT_ROLES.join(', ')} are.`,
  );
}
