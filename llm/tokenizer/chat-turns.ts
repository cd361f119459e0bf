import { createHash } from 'node:crypto';
import type { ChatMessage, ToolCall } from './chat-conversation.js';

// Templates differ in what they know: some have no role for `developer` or `tool`, no system text, or want user and
// assistant to take turns. A conversation is changed as little as it takes for a template to render all of it.

/** A message as templates expect it: the form of the OpenAI API, but that arguments are objects. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string | readonly { readonly type: 'text'; readonly text: string }[];
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: 'function';
    readonly function: { readonly name: string; readonly arguments: unknown };
  }[];
  readonly tool_call_id?: string;
  /** Of a tool's message: the function that was called. */
  readonly name?: string;
}

export interface Turns {
  readonly messages: readonly ChatMessage[];
  /** Functions as the OpenAI API has them. */
  readonly tools: readonly unknown[];
}

/** Each is a bit: a set of them is a number, and smaller numbers change less. */
export const CHANGE = {
  /** `developer` is `system`. */
  developer: 1,
  /** Ids of calls have nine letters and digits, as Mistral's templates demand. */
  shortIds: 2,
  /** Arguments are JSON text. */
  argumentsAsText: 4,
  /** Neighbours of one role are one message. */
  joined: 8,
  /** A system text that is not the first message begins the next message of the user. */
  laterSystem: 16,
  /** And so does the first. */
  firstSystem: 32,
  /** Functions, calls and results are texts of system, assistant and user. */
  toolsAsText: 64,
  /** Contents are lists of parts. */
  parts: 128,
} as const;

/** Sets of changes that make a difference to a conversation, the smallest first. */
export function* changesFor({ messages, tools }: Turns): Generator<number> {
  const has = (role: string) => messages.some((message) => message.role === role);
  const calls = messages.some(({ toolCalls = [] }) => toolCalls.length > 0);
  let useful = CHANGE.joined | CHANGE.parts;
  if (has('developer')) useful |= CHANGE.developer;
  if (has('developer') || has('system')) useful |= CHANGE.laterSystem | CHANGE.firstSystem;
  if (calls) useful |= CHANGE.shortIds | CHANGE.argumentsAsText;
  if (calls || has('tool') || tools.length > 0)
    useful |= CHANGE.toolsAsText | CHANGE.laterSystem | CHANGE.firstSystem;
  for (let set = 0; set < 256; set++) {
    if ((set & ~useful) !== 0) continue;
    // The first system text stays where later ones cannot.
    if (set & CHANGE.firstSystem && !(set & CHANGE.laterSystem)) continue;
    yield set;
  }
}

/** What a template is given. */
export function changed(
  turns: Turns,
  set: number,
): { readonly messages: readonly TemplateMessage[]; readonly tools: readonly unknown[] } {
  const does = (change: number) => (set & change) !== 0;
  let { messages } = turns;
  let { tools } = turns;
  if (does(CHANGE.developer))
    messages = messages.map((one) => (one.role === 'developer' ? { ...one, role: 'system' } : one));
  if (does(CHANGE.toolsAsText)) {
    messages = withToolsAsText(messages, tools);
    tools = [];
  }
  if (does(CHANGE.laterSystem)) messages = withSystemInUserTurns(messages, does(CHANGE.firstSystem) ? 0 : 1);
  if (does(CHANGE.joined)) messages = joined(messages);
  const idOf = does(CHANGE.shortIds) ? shortId : (id: string) => id;
  const names = new Map(
    messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name])),
  );
  return {
    messages: messages.map(({ role, content, toolCalls = [], toolCallId }) => ({
      role,
      content: does(CHANGE.parts) ? [{ type: 'text' as const, text: content }] : content,
      ...(toolCalls.length === 0
        ? {}
        : {
            tool_calls: toolCalls.map(({ id, name, arguments: given }) => ({
              id: idOf(id),
              type: 'function' as const,
              function: { name, arguments: does(CHANGE.argumentsAsText) ? given : JSON.parse(given) },
            })),
          }),
      ...(toolCallId === undefined
        ? {}
        : { tool_call_id: idOf(toolCallId), name: names.get(toolCallId) ?? '' }),
    })),
    tools,
  };
}

function shortId(id: string): string {
  return /^[A-Za-z0-9]{9}$/.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, 9);
}

const isSystem = ({ role }: ChatMessage) => role === 'system' || role === 'developer';

/** @param first message that is not left alone */
function withSystemInUserTurns(messages: readonly ChatMessage[], first: number): ChatMessage[] {
  const result: ChatMessage[] = messages.slice(0, first);
  const waiting: string[] = [];
  const begin = () => waiting.splice(0).join('\n\n');
  for (const message of messages.slice(first)) {
    if (isSystem(message)) waiting.push(message.content);
    else if (message.role === 'user' && waiting.length > 0)
      result.push({ ...message, content: `${begin()}\n\n${message.content}` });
    else if (message.role === 'assistant' && waiting.length > 0)
      result.push({ role: 'user', content: begin() }, message);
    else result.push(message);
  }
  if (waiting.length > 0) result.push({ role: 'user', content: begin() });
  return result;
}

function joined(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (const message of messages) {
    const before = result.at(-1);
    const joins = before?.role === message.role && !before.toolCalls?.length && message.role !== 'tool';
    if (before === undefined || !joins) result.push(message);
    else result.push({ ...message, content: `${result.pop()?.content}\n\n${message.content}` });
  }
  return result;
}

/** What a model is told of functions whose template knows none. The HTTP API reads that form among others. */
function withToolsAsText(messages: readonly ChatMessage[], tools: readonly unknown[]): ChatMessage[] {
  const turns = messages.map(({ role, content, toolCalls = [], toolCallId }): ChatMessage => {
    if (role === 'tool') return { role: 'user', content: `Result of call ${toolCallId ?? ''}:\n${content}` };
    if (toolCalls.length === 0) return { role, content };
    const text = callsAsText(toolCalls);
    return { role, content: content === '' ? text : `${content}\n${text}` };
  });
  if (tools.length === 0) return turns;
  const list = tools.map((tool) => JSON.stringify(tool)).join('\n');
  const text = `You may call these functions:\n${list}\nTo call some, answer with this JSON object alone: {"tool_calls": [{"name": "NAME", "arguments": {…}}]}`;
  const [first, ...rest] = turns;
  return first !== undefined && isSystem(first)
    ? [{ ...first, content: `${first.content}\n\n${text}` }, ...rest]
    : [{ role: 'system', content: text }, ...turns];
}

function callsAsText(calls: readonly ToolCall[]): string {
  const list = calls.map(({ name, arguments: given }) => ({ name, arguments: JSON.parse(given) }));
  return JSON.stringify({ tool_calls: list });
}
