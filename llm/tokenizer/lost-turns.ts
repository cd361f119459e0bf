import type { ChatMessage } from './chat-conversation.js';
import type { Turns } from './chat-turns.js';

/** A template left out a message of the conversation. */
export class TurnLost extends Error {
  constructor(
    /** Of the message; undefined where it is the functions that may be called. */
    readonly index: number | undefined,
    readonly role: string,
  ) {
    super('a part of the conversation is left out');
  }
}

/**
 * A conversation of the same roles with short texts that are each known again: where a template renders all of them, it
 * has a place for each role. A text such as "no" could be found anywhere.
 */
export function skeletonOf({ messages, tools }: Turns): { turns: Turns; check: (rendered: string) => void } {
  const textOf = (index: number) => `<<turn ${index}>>`;
  const callOf = (index: number, call: number) => `call_${index}_${call}_`;
  const turns: Turns = {
    messages: messages.map((message, index) => ({
      ...message,
      content: message.content === '' ? '' : textOf(index),
      toolCalls: message.toolCalls?.map((call, i) => ({ ...call, name: callOf(index, i), arguments: '{}' })),
    })),
    tools: tools.map((tool, index) => renamed(tool, `function_${index}_`)),
  };
  const check = (rendered: string) => {
    for (const [index, { role, content, toolCalls = [] }] of messages.entries()) {
      const isThere =
        (content === '' || rendered.includes(textOf(index))) &&
        toolCalls.every((_, i) => rendered.includes(callOf(index, i)));
      if (!isThere) throw new TurnLost(index, role);
    }
    if (!tools.every((_, index) => rendered.includes(`function_${index}_`)))
      throw new TurnLost(undefined, 'tool');
  };
  return { turns, check };
}

function renamed(tool: unknown, name: string): unknown {
  if (typeof tool !== 'object' || tool === null || !('function' in tool)) return tool;
  return { ...tool, function: { ...(tool.function as object), name } };
}

/**
 * Looks each message's text up in what was rendered. White space does not count, since templates trim; nor does what an
 * assistant thought before its answer, which templates of such models leave out of earlier turns on purpose.
 *
 * @throws TurnLost
 */
export function checkNothingLost({ messages }: Turns, rendered: string): void {
  const all = withoutSpace(rendered);
  let after = 0;
  for (const [index, message] of messages.entries()) {
    const shown = shownOf(message).trim();
    const text = withoutSpace(shown);
    if (text === '') continue;
    // Templates write some contents as JSON.
    const escaped = withoutSpace(JSON.stringify(shown).slice(1, -1));
    const at = [text, escaped].flatMap((form) => [all.indexOf(form, after), all.indexOf(form)]);
    const found = at.find((one) => one >= 0);
    if (found === undefined) throw new TurnLost(index, message.role);
    after = found;
  }
}

function shownOf({ role, content }: ChatMessage): string {
  return role === 'assistant'
    ? content.slice(content.lastIndexOf('</think>') + 1).replace(/^\/think>/, '')
    : content;
}

function withoutSpace(text: string): string {
  return text.replace(/\s+/gu, '');
}
