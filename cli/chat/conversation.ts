import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import type { Prompt } from '../../sdk/index.js';

const message = z.object({ role: z.string().min(1).max(40), content: z.string() });
const saved = z.object({ messages: z.array(message).max(1_000) });
type Message = z.output<typeof message>;

const SYSTEM = 'system';
const USER = 'user';

/** What was said so far: a system message, if there is one, then user and model in turns. */
export class Conversation {
  #messages: Message[] = [];

  /** The system message. */
  get system(): string | undefined {
    const [first] = this.#messages;
    return first?.role === SYSTEM ? first.content : undefined;
  }

  /** Sets or, with an empty text, takes away the system message. What was said stays. */
  set system(content: string | undefined) {
    const rest = this.#messages.filter(({ role }) => role !== SYSTEM);
    this.#messages = content ? [{ role: SYSTEM, content }, ...rest] : rest;
  }

  /** Messages beside the system's. */
  get length(): number {
    return this.#messages.filter(({ role }) => role !== SYSTEM).length;
  }

  ask(content: string): void {
    this.#messages.push({ role: USER, content });
  }

  answer(content: string): void {
    this.#messages.push({ role: 'assistant', content });
  }

  /** Takes back the last question and what came after it. @returns the question, if there was one */
  undo(): string | undefined {
    const at = this.#messages.findLastIndex(({ role }) => role === USER);
    if (at < 0) return undefined;
    const [{ content }] = this.#messages.splice(at);
    return content;
  }

  /** Forgets all but the system message. */
  reset(): void {
    this.#messages = this.#messages.filter(({ role }) => role === SYSTEM);
  }

  /** For the model: through its chat template, or as one text that it continues where it has none. */
  prompt(hasChatTemplate: boolean): Prompt {
    if (hasChatTemplate) return { messages: this.#messages };
    return { text: this.#messages.map(({ content }) => content).join('\n') };
  }

  /** For a file. */
  toJson(): string {
    return `${JSON.stringify({ messages: this.#messages }, undefined, 2)}\n`;
  }

  /** Takes the place of this conversation. @throws PynqLlmError CLI_CHAT_FILE */
  load(text: string, path: string): void {
    try {
      this.#messages = saved.parse(JSON.parse(text)).messages;
    } catch (cause) {
      throw new PynqLlmError('CLI_CHAT_FILE', `${path} holds no conversation.`, { cause });
    }
  }
}
