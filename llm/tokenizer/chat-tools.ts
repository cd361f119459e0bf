import { PynqLlmError } from '../../errors/index.js';
import type { ChatRole, ToolCall } from './chat-conversation.js';

/** Objects and lists within each other, which are gone through by functions that call themselves. */
const DEEPEST = 128;

/** @throws PynqLlmError LLM_CHAT_MESSAGES unless arguments are JSON objects and the caller is the assistant */
export function checkToolCalls(calls: readonly ToolCall[], index: number, role: ChatRole): void {
  if (calls.length > 0 && role !== 'assistant') throw bad(`Message ${index} of ${role} calls functions`);
  for (const call of calls) {
    const given = parsed(call.arguments, `The arguments of ${call.name} in message ${index}`);
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw bad(`The arguments of ${call.name} in message ${index} are no JSON object`);
  }
}

/** @throws PynqLlmError LLM_CHAT_MESSAGES unless it is a list of functions with names */
export function checkTools(tools: string): void {
  const list = parsed(tools, 'The list of functions');
  if (!Array.isArray(list)) throw bad('The functions are no list');
  const names = list.map((tool) => tool?.function?.name);
  for (const [i, name] of names.entries()) {
    if (typeof name !== 'string' || !/^[A-Za-z0-9_.-]{1,64}$/.test(name))
      throw bad(`Function ${i} has no name of 1 to 64 letters, digits, "_", "-" and "."`);
    if (names.indexOf(name) !== i) throw bad(`Two functions are called ${name}`);
  }
}

function parsed(text: string, what: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (isDeeper(value, DEEPEST)) throw new Error('it is nested too deep');
    return value;
  } catch (error) {
    throw bad(`${what} cannot be read: ${error instanceof Error ? error.message : ''}`);
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1));
}

function bad(what: string): PynqLlmError {
  return new PynqLlmError('LLM_CHAT_MESSAGES', `${what}.`);
}
