import { runInNewContext } from 'node:vm';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { PynqLlmError } from '../../errors/index.js';
import { breakNames } from './special-tokens.js';

export const CHAT_ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

/** One message of a conversation. Its content is text only: names of control tokens in it are not the tokens. */
export interface ChatMessage {
  readonly role: (typeof CHAT_ROLES)[number];
  readonly content: string;
}

/** What rendering needs of a model: plain data, for a thread that has no model. */
export interface ChatFrame {
  /** The template. */
  readonly source: string;
  /** Names of control tokens that contents of messages cannot write, longest first. */
  readonly names: readonly string[];
  /** Names of the tokens that begin and end a text; empty where there are none. */
  readonly bos: string;
  readonly eos: string;
}

// A template is a program from the model file, so it is bounded in size, time and output.
const LONGEST_SOURCE = 256 * 1024;
const LONGEST_RENDERED = 8 * 1024 * 1024;
const LONGEST_RANGE = 100_000;
const DEADLINE_MILLISECONDS = 2000;

/** What a template throws through `raise_exception`. */
class Refusal extends Error {}

/** Renders conversations with one template, which cannot be paused. */
export class ChatRenderer {
  readonly #deadlineMs: number;
  readonly #program: ReturnType<typeof parse>;

  /**
   * @param deadlineMs of parsing, and of rendering a conversation
   * @throws PynqLlmError LLM_CHAT_TEMPLATE_INVALID
   */
  constructor(source: string, deadlineMs = DEADLINE_MILLISECONDS) {
    if (source.length > LONGEST_SOURCE) {
      throw invalid(`is ${source.length} characters long, over ${LONGEST_SOURCE}`);
    }
    this.#deadlineMs = deadlineMs;
    this.#program = bounded(deadlineMs, () =>
      parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })),
    );
  }

  /**
   * The text of a conversation, names of control tokens in it.
   *
   * @throws PynqLlmError LLM_CHAT_REFUSED, LLM_CHAT_TEMPLATE_INVALID
   */
  render(
    { names, bos, eos }: ChatFrame,
    messages: readonly ChatMessage[],
    addGenerationPrompt: boolean,
  ): string {
    const globals: Record<string, unknown> = {
      ...GLOBALS,
      messages: messages.map(({ role, content }) => ({ role, content: breakNames(content, names) })),
      add_generation_prompt: addGenerationPrompt,
      bos_token: bos,
      eos_token: eos,
    };
    const rendered = bounded(this.#deadlineMs, () => {
      const environment = new Environment();
      for (const [name, value] of Object.entries(globals)) environment.set(name, value);
      return new Interpreter(environment).run(this.#program).value;
    });
    if (typeof rendered !== 'string') throw invalid('renders no text');
    if (rendered.length > LONGEST_RENDERED) throw invalid(`renders over ${LONGEST_RENDERED} characters`);
    return rendered;
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

/**
 * Runs a step of the template engine. The virtual machine's watchdog stops it at the deadline even within an endless loop;
 * nothing of the template runs as JavaScript.
 */
function bounded<Result>(deadlineMs: number, step: () => Result): Result {
  try {
    let result: { value: Result } | undefined;
    const run = () => {
      result = { value: step() };
    };
    runInNewContext('run()', { run }, { timeout: deadlineMs });
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
