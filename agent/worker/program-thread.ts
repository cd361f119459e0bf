import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Pausable } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { errorFromWire } from '../../protocol/index.js';
import type { ProgramHost } from '../worker-link/messages.js';
import {
  type FromPrograms,
  type ProgramKind,
  type Programs,
  RENDER_MS,
  type ToPrograms,
} from './program-messages.js';

/** A thread that says nothing for so long is ended, also while it starts: the main thread tells of one that died. */
const SILENCE_MS = 1.5 * RENDER_MS;
/** A template without end while others wait. A long conversation takes a few seconds on a slow board. */
const CONTENDED_MS = 5_000;
/** A program that nobody waits for any more, but others for the thread: a new thread takes a slow board about as long. */
const UNWANTED_MS = 1_000;

interface Thread {
  readonly id: number;
  readonly port: MessagePort;
  readonly since: number;
  isReady: boolean;
}
/** The thread as one client has it. */
export interface ClientPrograms {
  ask<K extends ProgramKind>(kind: K, asked: Programs[K]['asked']): Pausable<Programs[K]['answer']>;
}

type Outcome = Exclude<FromPrograms, { readonly ready: true }> | { readonly ended: string };

/**
 * The thread beside the device's for what comes from outside and cannot be paused: chat templates, which are programs, and
 * JSON schemas. It is started when it is needed first, and again after a program that had to be ended with it. The device's
 * thread never returns to its event loop, so it looks for answers itself, for which it is rung, and the main thread starts
 * and ends the thread: where nobody hears of the end of a thread, its memory is not given back.
 */
export class ProgramThread {
  readonly #host: ProgramHost;
  readonly #now: () => number;
  #thread: Thread | undefined;
  #failedStart: string | undefined;
  #nextId = 0;
  /** The shares of those who wait for the thread, in the order of arrival. */
  #waiting: { readonly share: string }[] = [];
  /** By share: the ask that had the thread last. */
  readonly #turns = new Map<string, number>();
  /** What the thread is at, also where nobody waits for it any more. */
  #current: { readonly ask: number; readonly share: string; readonly since: number } | undefined;
  /** Of those who wait for an answer. */
  readonly #outcomes = new Map<number, Outcome | undefined>();

  constructor(host: ProgramHost, now: () => number = () => performance.now()) {
    this.#host = host;
    this.#now = now;
  }

  /** @param client who takes turns with others by the first name, the share */
  of([share = '']: readonly string[]): ClientPrograms {
    return { ask: (kind, asked) => this.#ask(share, kind, asked) };
  }

  /**
   * Asks the thread, once it is free, and waits for what it answers.
   * @throws PynqLlmError as what is asked for, LLM_CHAT_TEMPLATE_INVALID, LLM_SCHEMA_TOO_LARGE
   */
  *#ask<K extends ProgramKind>(
    share: string,
    kind: K,
    asked: Programs[K]['asked'],
  ): Pausable<Programs[K]['answer']> {
    const port = yield* this.#turn(share);
    const id = this.#nextId++;
    this.#turns.set(share, id);
    this.#current = { ask: id, share, since: this.#now() };
    this.#outcomes.set(id, undefined);
    try {
      // The kind and what is asked belong together.
      port.postMessage({ id, kind, asked } as ToPrograms);
      for (;;) {
        this.#look();
        const outcome = this.#outcomes.get(id);
        if (outcome === undefined) yield 'waits';
        else if ('ended' in outcome) throw ended(kind, outcome.ended);
        else if ('error' in outcome) throw errorFromWire(outcome.error);
        else return outcome.answer;
      }
    } finally {
      this.#outcomes.delete(id);
    }
  }

  /** The main thread's word that a thread ended. */
  onEnded(thread: number, reason: string): void {
    if (this.#thread?.id !== thread) return;
    this.#receive();
    this.#lose(`ended its thread: ${reason}`);
  }

  close(): void {
    this.#end('was ended with the device');
  }

  /** Waits until the thread is there and free, and no share waits that had it longer ago. */
  *#turn(share: string): Pausable<MessagePort> {
    const own = { share };
    this.#waiting.push(own);
    try {
      for (;;) {
        this.#look();
        const failed = this.#failedStart;
        this.#failedStart = undefined;
        if (failed !== undefined)
          throw new PynqLlmError('AGENT_INTERNAL', `The thread for templates and schemas ${failed}.`);
        this.#thread ??= this.#start();
        if (this.#thread.isReady && this.#current === undefined && this.#next === own)
          return this.#thread.port;
        yield 'waits';
      }
    } finally {
      this.#waiting = this.#waiting.filter((one) => one !== own);
    }
  }

  get #next(): { readonly share: string } | undefined {
    const turnOf = ({ share }: { readonly share: string }) => this.#turns.get(share) ?? -1;
    return this.#waiting.toSorted((a, b) => turnOf(a) - turnOf(b))[0];
  }

  /** Takes what the thread says, and ends it where it is at something for too long. */
  #look(): void {
    this.#receive();
    const thread = this.#thread;
    if (thread === undefined || (thread.isReady && this.#current === undefined)) return;
    const ms = this.#now() - (this.#current ?? thread).since;
    if (ms > SILENCE_MS) this.#end(`took more than ${SILENCE_MS} ms`);
    else if (this.#current === undefined || this.#waiting.length === 0) return;
    else if (ms > CONTENDED_MS && this.#isContended)
      this.#end(`took more than ${CONTENDED_MS} ms while others waited`);
    else if (ms > UNWANTED_MS && !this.#outcomes.has(this.#current.ask)) this.#end('was given up');
  }

  get #isContended(): boolean {
    return this.#waiting.some(({ share }) => share !== this.#current?.share);
  }

  #receive(): void {
    if (this.#thread === undefined) return;
    for (;;) {
      const received: { message: FromPrograms } | undefined = receiveMessageOnPort(this.#thread.port);
      if (received === undefined) return;
      const { message } = received;
      if ('ready' in message) this.#thread.isReady = true;
      else this.#settle(message);
    }
  }

  #settle(outcome: Outcome): void {
    if (this.#waiting.length === 0) this.#turns.clear();
    const ask = this.#current?.ask;
    if (ask !== undefined && this.#outcomes.has(ask)) this.#outcomes.set(ask, outcome);
    this.#current = undefined;
  }

  #start(): Thread {
    const { port1, port2 } = new MessageChannel();
    const id = this.#nextId++;
    this.#host.start(id, port2);
    return { id, port: port1, since: this.#now(), isReady: false };
  }

  #end(what: string): void {
    if (this.#thread === undefined) return;
    this.#host.end(this.#thread.id);
    this.#lose(what);
  }

  #lose(what: string): void {
    if (this.#thread?.isReady === false) this.#failedStart = what;
    this.#thread?.port.close();
    this.#thread = undefined;
    this.#settle({ ended: what });
  }
}

function ended(kind: ProgramKind, what: string): PynqLlmError {
  return kind === 'chat'
    ? new PynqLlmError('LLM_CHAT_TEMPLATE_INVALID', `The chat template ${what}.`)
    : new PynqLlmError('LLM_SCHEMA_TOO_LARGE', `The schema ${what}.`);
}
