import { runInNewContext } from 'node:vm';
import { PynqLlmError } from '../../errors/index.js';
import { type Conversation, TEMPLATE_DATE } from './chat-conversation.js';
import { changed, changesFor, type Turns } from './chat-turns.js';
import { parseTemplate, runTemplate, type TemplateProgram } from './jinja.js';
import { checkNothingLost, skeletonOf, TurnLost } from './lost-turns.js';
import { breakNames } from './special-tokens.js';
import { strftime } from './strftime.js';

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
/** Shapes of conversations of which it is remembered what has to be changed. */
const MOST_SHAPES = 64;

/** What a template throws through `raise_exception`. */
class Refusal extends Error {}

type Variables = Readonly<Record<string, unknown>>;

/** Renders conversations with one template, which cannot be paused. */
export class ChatRenderer {
  readonly #deadlineMs: number;
  readonly #program: TemplateProgram;
  /** The set of changes that a conversation of some shape takes. */
  readonly #changes = new Map<string, number>();

  /**
   * @param deadlineMs of parsing, and of rendering a conversation
   * @throws PynqLlmError LLM_CHAT_TEMPLATE_INVALID
   */
  constructor(source: string, deadlineMs = DEADLINE_MILLISECONDS) {
    if (source.length > LONGEST_SOURCE) {
      throw invalid(`is ${source.length} characters long, over ${LONGEST_SOURCE}`);
    }
    this.#deadlineMs = deadlineMs;
    this.#program = bounded(deadlineMs, () => parseTemplate(source));
  }

  /**
   * The text of a conversation, names of control tokens in it. What the template has no place for is put where it has one
   * ({@link changesFor}), the same for the same conversation; nothing is left out.
   *
   * @throws PynqLlmError LLM_CHAT_REFUSED, LLM_CHAT_TURN_LOST, LLM_CHAT_TEMPLATE_INVALID
   */
  render(frame: ChatFrame, conversation: Conversation, addGenerationPrompt: boolean): string {
    const variables: Variables = {
      ...conversation.variables,
      ...GLOBALS,
      strftime_now: (format: unknown) => strftime(conversation.date ?? TEMPLATE_DATE, String(format)),
      add_generation_prompt: addGenerationPrompt,
      bos_token: frame.bos,
      eos_token: frame.eos,
    };
    const turns = safeTurns(conversation, frame.names);
    return bounded(this.#deadlineMs, () => {
      const set = this.#changesOf(turns, variables, [
        conversation.variables,
        conversation.date,
        addGenerationPrompt,
      ]);
      const rendered = this.#run(changed(turns, set), variables);
      checkNothingLost(turns, rendered);
      return rendered;
    });
  }

  /**
   * @param plain what the variables are made of, beside the conversation and the template
   * @throws Refusal, TurnLost, or what the template fails with: of the conversation as it is
   */
  #changesOf(turns: Turns, variables: Variables, plain: readonly unknown[]): number {
    const skeleton = skeletonOf(turns);
    const shape = JSON.stringify([skeleton.turns, plain]);
    const known = this.#changes.get(shape);
    if (known !== undefined) return known;
    let first: unknown;
    for (const set of changesFor(turns)) {
      try {
        skeleton.check(this.#run(changed(skeleton.turns, set), variables));
      } catch (error) {
        first ??= error;
        continue;
      }
      if (this.#changes.size >= MOST_SHAPES) this.#changes.clear();
      this.#changes.set(shape, set);
      return set;
    }
    throw first;
  }

  #run({ messages, tools }: ReturnType<typeof changed>, variables: Variables): string {
    const rendered = runTemplate(this.#program, {
      ...variables,
      messages,
      // Templates ask whether there are any with `if tools` or `tools is not none`.
      tools: tools.length === 0 ? null : tools,
    });
    if (typeof rendered !== 'string') throw new Error('it renders no text');
    if (rendered.length > LONGEST_RENDERED) throw new Error(`it renders over ${LONGEST_RENDERED} characters`);
    return rendered;
  }
}

/** The conversation with names of control tokens broken up, wherever a text of it goes into the template. */
function safeTurns({ messages, tools = '[]' }: Conversation, names: readonly string[]): Turns {
  const safe = <Value>(value: Value): Value => deepMap(value, (text) => breakNames(text, names)) as Value;
  return {
    messages: messages.map(({ toolCalls, ...message }) => ({
      ...safe(message),
      role: message.role,
      toolCalls: toolCalls?.map(({ id, name, arguments: given }) => ({
        id: safe(id),
        name: safe(name),
        arguments: JSON.stringify(safe(JSON.parse(given))),
      })),
    })),
    tools: safe(JSON.parse(tools)),
  };
}

function deepMap(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => deepMap(item, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [change(key), deepMap(item, change)]));
}

/** What Jinja and Hugging Face define everywhere, but for the time. */
const GLOBALS: Variables = {
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
    if (error instanceof TurnLost) {
      const { index, role } = error;
      throw new PynqLlmError(
        'LLM_CHAT_TURN_LOST',
        `The chat template leaves out ${index === undefined ? 'the functions' : `message ${index} (${role})`}.`,
        { context: { ...(index === undefined ? {} : { index }), role } },
      );
    }
    throw invalid(error instanceof Error ? `fails: ${error.message}` : 'fails', error);
  }
}

function invalid(what: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('LLM_CHAT_TEMPLATE_INVALID', `The chat template ${what}.`, { cause });
}
