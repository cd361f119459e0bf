import { didYouMean, isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { DoneEvent, Model } from '../../sdk/index.js';
import { reportError } from '../exit.js';
import { filesBeginning, readFile, writeFile } from '../files.js';
import { noteText, printGenerated, printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { formatCount, formatDuration } from '../output/units.js';
import { changeFlag, type GenerationFlags, settingNames, settings, toSampling } from '../sampling-options.js';
import { Conversation } from './conversation.js';
import type { LineSource } from './line-source.js';

interface SlashCommand {
  readonly usage: string;
  readonly help: string;
  /** @returns whether the last question is to be answered (again), or the chat ends */
  run(chat: Chat, argument: string): 'answer' | 'quit' | undefined;
}

/** What a line that begins with a slash may be. */
const COMMANDS: Readonly<Record<string, SlashCommand>> = {
  help: { usage: '', help: 'this list', run: (chat) => chat.help() },
  system: {
    usage: '[TEXT|-]',
    help: 'show or set the system message; - takes it away',
    run: (chat, text) => chat.system(text),
  },
  set: {
    usage: '[NAME VALUE]',
    help: 'show or change an option of generation, by the name of its flag: /set temp 0.2, /set temp default',
    run: (chat, text) => chat.set(text),
  },
  undo: { usage: '', help: 'take back the last question and its answer', run: (chat) => chat.undo() },
  retry: { usage: '', help: 'answer the last question again, drawn anew', run: (chat) => chat.retry() },
  reset: {
    usage: '',
    help: 'forget what was said, as /clear does; the system message stays',
    run: (chat) => chat.reset(),
  },
  save: { usage: 'FILE', help: 'write the conversation to a file', run: (chat, path) => chat.save(path) },
  load: {
    usage: 'FILE',
    help: 'go on with a conversation from a file',
    run: (chat, path) => chat.load(path),
  },
  timing: { usage: '', help: 'show or hide what an answer took', run: (chat) => chat.toggleTiming() },
  quit: { usage: '', help: 'end the chat, as /exit, /bye and Ctrl-D do', run: () => 'quit' },
};

/** Names that people know from other chats; not in the list of commands. */
const ALIASES: Readonly<Record<string, string>> = { exit: 'quit', bye: 'quit', clear: 'reset', '?': 'help' };

/** What Tab makes of a line: commands, options of /set, files. Choices and the part of the line that they replace. */
export function completeLine(line: string): [choices: string[], replaced: string] {
  const [, name, gap, argument = ''] = /^\/(\S*)(\s+)?(.*)$/s.exec(line) ?? [];
  if (name === undefined) return [[], line];
  const beginning = (words: readonly string[], begun: string) =>
    words.filter((word) => word.startsWith(begun));
  if (gap === undefined)
    return [
      beginning([...Object.keys(COMMANDS), ...Object.keys(ALIASES)], name).map((one) => `/${one} `),
      line,
    ];
  if (name === 'set' && !argument.includes(' '))
    return [beginning(settingNames(), argument).map((one) => `${one} `), argument];
  if (name === 'save' || name === 'load') return [filesBeginning(argument), argument];
  return [[], line];
}

export interface ChatOptions {
  readonly flags: GenerationFlags;
  readonly system: string | undefined;
  /** Whether somebody types: mistakes are told and the chat goes on; otherwise they end it. */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
  /** The model of `--model-draft`, by its name or path, loaded. */
  readonly openDraft: (nameOrPath: string, signal: AbortSignal) => Promise<Model>;
}

/** A conversation with a model, line by line. Answers go to standard output, all else to standard error. */
export class Chat {
  readonly #model: Model;
  readonly #conversation = new Conversation();
  readonly #options: ChatOptions;
  #flags: GenerationFlags;
  #timing: boolean;
  /** Ends the answer under way, while there is one. */
  #ending: AbortController | undefined;
  /** The model that drafts, under the name that it was asked for by. */
  #draft: { readonly name: string; readonly model: Model } | undefined;

  constructor(model: Model, options: ChatOptions) {
    this.#model = model;
    this.#options = options;
    this.#flags = options.flags;
    this.#timing = options.interactive;
    this.#conversation.system = options.system;
  }

  /** Loads what the flags name, so that a wrong name ends the chat before it begins. @throws as `openDraft` */
  async prepare(): Promise<void> {
    await this.#draftModel(this.#options.signal);
  }

  /** Until the lines end, or /quit. @throws PynqLlmError where nobody is there to be told */
  async run(lines: LineSource): Promise<void> {
    for (;;) {
      const line = (await lines.next())?.trim();
      if (line === undefined || this.#options.signal.aborted) return;
      if (line === '') continue;
      try {
        const wanted = line.startsWith('/') ? this.#command(line) : this.#ask(line);
        if (wanted === 'quit') return;
        if (wanted === 'answer') await this.#answer();
      } catch (error) {
        if (!this.#options.interactive || !isPynqLlmError(error)) throw error;
        reportError(error);
      }
      if (this.#options.signal.aborted) return;
    }
  }

  /** Ends the answer under way, which keeps what came so far. @returns `again` where it was told so before */
  cancelAnswer(): 'none' | 'cancelled' | 'again' {
    if (this.#ending === undefined) return 'none';
    if (this.#ending.signal.aborted) return 'again';
    this.#ending.abort();
    return 'cancelled';
  }

  help(): undefined {
    const rows = Object.entries(COMMANDS).map(
      ([name, { usage, help }]) => [`/${name} ${usage}`, help] as const,
    );
    reportText(formatFacts(rows));
  }

  system(text: string): undefined {
    if (text !== '') this.#conversation.system = text === '-' ? '' : text;
    reportText(`system message: ${this.#conversation.system ?? 'none'}`);
  }

  set(text: string): undefined {
    const [, name, value = ''] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
    if (name !== undefined && value !== '') this.#flags = changeFlag(this.#flags, name, value);
    reportText(formatFacts(settings(this.#flags).filter(([flag]) => name === undefined || flag === name)));
  }

  undo(): undefined {
    if (this.#conversation.undo() === undefined) throw badArgument('There is nothing to take back.');
    reportText(`${this.#conversation.length} messages are left.`);
  }

  retry(): 'answer' {
    const question = this.#conversation.undo();
    if (question === undefined) throw badArgument('There is no question to answer again.');
    return this.#ask(question);
  }

  reset(): undefined {
    this.#conversation.reset();
  }

  save(path: string): undefined {
    if (path === '') throw badArgument('/save needs the name of a file.');
    writeFile(path, Buffer.from(this.#conversation.toJson()));
  }

  load(path: string): undefined {
    if (path === '') throw badArgument('/load needs the name of a file.');
    this.#conversation.load(readFile(path).toString('utf8'), path);
    reportText(`${this.#conversation.length} messages are loaded.`);
  }

  toggleTiming(): undefined {
    this.#timing = !this.#timing;
    reportText(`Timing is ${this.#timing ? 'shown' : 'hidden'}.`);
  }

  #command(line: string): 'answer' | 'quit' | undefined {
    const [, asked = '', argument = ''] = /^\/(\S*)\s*(.*)$/s.exec(line) ?? [];
    const name = Object.hasOwn(ALIASES, asked) ? ALIASES[asked] : asked;
    if (!Object.hasOwn(COMMANDS, name))
      throw badArgument(
        `There is no /${asked}; /help lists what there is.${didYouMean(asked, [...Object.keys(COMMANDS), ...Object.keys(ALIASES)])}`,
      );
    return COMMANDS[name].run(this, argument);
  }

  #ask(question: string): 'answer' {
    this.#conversation.ask(question);
    return 'answer';
  }

  async #answer(): Promise<void> {
    const { hasChatTemplate } = this.#model.info;
    const ending = new AbortController();
    this.#ending = ending;
    const ended = AbortSignal.any([this.#options.signal, ending.signal]);
    let text = '';
    try {
      const draftModel = await this.#draftModel(ended);
      const prompt = this.#conversation.prompt(hasChatTemplate);
      const generation = this.#model.generate(prompt, {
        ...toSampling(this.#flags),
        draftModel,
        logprobs: false,
      });
      const cancel = () => void generation.cancel().catch(() => {});
      ended.addEventListener('abort', cancel, { once: true });
      if (ended.aborted) cancel();
      for await (const token of generation) {
        text += token.text;
        printGenerated(token.text);
      }
      const done = await generation.done;
      text += done.text;
      printGenerated(`${done.text}\n`);
      if (this.#timing) reportText(timingOf(done));
    } catch (error) {
      if (text !== '') printText('\n');
      this.#conversation.undo();
      throw error;
    } finally {
      this.#ending = undefined;
    }
    this.#conversation.answer(text);
  }

  /** Loads the model of `model-draft` where it is not the one of the answer before. */
  async #draftModel(signal: AbortSignal): Promise<Model | undefined> {
    const { modelDraft: name } = this.#flags;
    if (name === undefined) return undefined;
    if (this.#draft?.name !== name) this.#draft = { name, model: await this.#openDraft(name, signal) };
    return this.#draft.model;
  }

  async #openDraft(name: string, signal: AbortSignal): Promise<Model> {
    try {
      return await this.#options.openDraft(name, signal);
    } catch (cause) {
      if (!signal.aborted) throw cause;
      throw new PynqLlmError('CLI_INTERRUPTED', 'Interrupted.', { cause });
    }
  }
}

function timingOf({ reason, timing, counters }: DoneEvent): string {
  const { promptTokens, generatedTokens, queuedMs, prefillMs, decodeMs } = timing;
  const rate =
    generatedTokens > 1 ? `${(((generatedTokens - 1) / decodeMs) * 1000).toFixed(1)} tokens/s` : undefined;
  return [
    `${promptTokens} + ${generatedTokens} tokens`,
    rate,
    `first after ${formatDuration(queuedMs + prefillMs)}`,
    `${formatCount(counters.coreCycles)} core cycles`,
    reason === 'end-of-text' ? undefined : `ended by ${reason}`,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}

function reportText(text: string): void {
  noteText(`${text.replaceAll(/^/gm, '  ')}\n`);
}

function badArgument(text: string): PynqLlmError {
  return new PynqLlmError('CLI_BAD_ARGUMENT', text);
}
