import { runInNewContext } from 'node:vm';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { PynqLlmError } from '../errors/index.js';
import type { Tokenizer } from './tokenizer/index.js';

export const CHAT_ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

/** One message of a conversation. Its content is text only: names of control tokens in it are not the tokens. */
export interface ChatMessage {
  readonly role: (typeof CHAT_ROLES)[number];
  readonly content: string;
}

// A template is a program from the model file, so it is bounded in size, time and output.
const LONGEST_SOURCE = 256 * 1024;
const LONGEST_RENDERED = 8 * 1024 * 1024;
const LONGEST_RANGE = 100_000;
const DEADLINE_MILLISECONDS = 2000;

/** What a template throws through `raise_exception`. */
class Refusal extends Error {}

/**
 * A model's chat template (Jinja, as Hugging Face's chat templates use it).
 *
 * Rendered text is encoded with the names of control tokens parsed, since templates write them so. Contents of messages go
 * into the template with every such name broken up by a character that the tokenizer takes out again
 * ({@link Tokenizer.protect}), so that they can't forge a turn, while the template may still trim, test and cut them. Roles
 * are a closed list for the same reason. A template cannot tell the time, so the same messages give the same tokens.
 */
export class ChatTemplate {
  readonly #tokenizer: Tokenizer;
  readonly #program: ReturnType<typeof parse>;

  /**
   * @param source the template, if not the model's own
   * @throws PynqLlmError LLM_CHAT_TEMPLATE_MISSING, LLM_CHAT_TEMPLATE_INVALID
   */
  constructor(tokenizer: Tokenizer, source: string | undefined = tokenizer.chatTemplate) {
    if (source === undefined) {
      throw new PynqLlmError('LLM_CHAT_TEMPLATE_MISSING', 'The model file has no tokenizer.chat_template.');
    }
    if (source.length > LONGEST_SOURCE) {
      throw invalid(`is ${source.length} characters long, over ${LONGEST_SOURCE}`);
    }
    this.#tokenizer = tokenizer;
    this.#program = bounded(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
  }

  /**
   * The tokens of a conversation, BOS included where the model wants it.
   *
   * @param messages at least one
   * @param addGenerationPrompt whether the beginning of the assistant's answer follows
   * @throws PynqLlmError LLM_CHAT_MESSAGES, LLM_CHAT_REFUSED, LLM_CHAT_TEMPLATE_INVALID, LLM_TEXT_UNENCODABLE
   */
  encode(messages: readonly ChatMessage[], addGenerationPrompt = true): number[] {
    checkMessages(messages);
    const text = this.#render(messages, addGenerationPrompt);
    const ids = this.#tokenizer.encode(text, { parseSpecial: true, addSpecial: false });
    const { bosId, addsBos } = this.#tokenizer;
    // Most templates write BOS themselves; a second one would confuse the model.
    return addsBos && bosId !== undefined && ids[0] !== bosId ? [bosId, ...ids] : ids;
  }

  #render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
    const globals: Record<string, unknown> = {
      ...GLOBALS,
      messages: messages.map(({ role, content }) => ({ role, content: this.#tokenizer.protect(content) })),
      add_generation_prompt: addGenerationPrompt,
      bos_token: this.#nameOf(this.#tokenizer.bosId),
      eos_token: this.#nameOf(this.#tokenizer.eosId),
    };
    const rendered = bounded(() => {
      const environment = new Environment();
      for (const [name, value] of Object.entries(globals)) environment.set(name, value);
      return new Interpreter(environment).run(this.#program).value;
    });
    if (typeof rendered !== 'string') throw invalid('renders no text');
    if (rendered.length > LONGEST_RENDERED) throw invalid(`renders over ${LONGEST_RENDERED} characters`);
    return rendered;
  }

  #nameOf(id: number | undefined): string {
    return id === undefined ? '' : new TextDecoder().decode(this.#tokenizer.pieceBytes(id));
  }
}

/** What Jinja and Hugging Face define everywhere, but for the time. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (reason: unknown) => {
    throw new Refusal(String(reason));
  },
  range,
};

/** Python's range, bounded. */
function range(first: number, end?: number, step = 1): number[] {
  const [from, to] = end === undefined ? [0, first] : [first, end];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`range() of ${length} numbers, over ${LONGEST_RANGE}`);
  return Array.from({ length }, (_, i) => from + i * step);
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (messages.length === 0) throw new PynqLlmError('LLM_CHAT_MESSAGES', 'There are no messages.');
  for (const [index, { role, content }] of messages.entries()) {
    if (CHAT_ROLES.includes(role) && typeof content === 'string') continue;
    throw new PynqLlmError('LLM_CHAT_MESSAGES', `Message ${index} has an unknown role or no text.`, {
      context: { index, role: String(role) },
    });
  }
}

/**
 * Runs a step of the template engine. The virtual machine's watchdog stops it at the deadline even within an endless loop;
 * nothing of the template runs as JavaScript.
 */
function bounded<Result>(step: () => Result): Result {
  try {
    let result: { value: Result } | undefined;
    const run = () => {
      result = { value: step() };
    };
    runInNewContext('run()', { run }, { timeout: DEADLINE_MILLISECONDS });
    if (result === undefined) throw new Error('no result');
    return result.value;
  } catch (error) {
    if (error instanceof Refusal) {
      throw new PynqLlmError('LLM_CHAT_REFUSED', `The template says: ${error.message}`, {
        context: { reason: error.message },
      });
    }
    throw invalid(error instanceof Error ? `fails: ${error.message}` : 'fails', error);
  }
}

function invalid(what: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('LLM_CHAT_TEMPLATE_INVALID', `The chat template ${what}.`, { cause });
}
