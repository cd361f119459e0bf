import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Pausable } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { errorFromWire } from '../../protocol/index.js';
import {
  type FromPrograms,
  type ProgramKind,
  type Programs,
  type ProgramsSetup,
  RENDER_MS,
  type ToPrograms,
} from './program-messages.js';

/** A thread that says nothing for so long is ended: a template or a schema that took all its memory. */
const SILENCE_MS = 1.5 * RENDER_MS;
/** A template that builds texts without end: it ends its thread, not the device's. */
const MEMORY_MIB = 96;

/**
 * The thread beside the device's for what comes from outside and cannot be paused: chat templates, which are programs, and
 * JSON schemas. It is started when it is needed first. The device's thread never returns to its event loop, so it looks for
 * answers itself; it is rung for them.
 */
export class ProgramThread {
  readonly #doorbell: SharedArrayBuffer;
  readonly #now: () => number;
  #thread: { readonly worker: Worker; readonly port: MessagePort } | undefined;
  #nextId = 0;
  /** What the thread is at, also where nobody waits for it any more. */
  #current: { readonly id: number; readonly since: number } | undefined;
  /** Answers that somebody waits for, once they are there. */
  readonly #wanted = new Map<number, FromPrograms | undefined>();

  constructor(doorbell: SharedArrayBuffer, now: () => number = () => performance.now()) {
    this.#doorbell = doorbell;
    this.#now = now;
  }

  /**
   * Asks the thread, once it is free, and waits for what it answers.
   * @throws PynqLlmError as what is asked for, LLM_CHAT_TEMPLATE_INVALID, LLM_SCHEMA_TOO_LARGE
   */
  *ask<K extends ProgramKind>(kind: K, asked: Programs[K]['asked']): Pausable<Programs[K]['answer']> {
    while (this.#isBusy) yield 'waits';
    const id = this.#nextId++;
    this.#current = { id, since: this.#now() };
    this.#wanted.set(id, undefined);
    try {
      // The kind and what is asked belong together.
      this.#start().postMessage({ id, kind, asked } as ToPrograms);
      while (this.#isBusy && this.#current.id === id) yield 'waits';
      const answer = this.#wanted.get(id);
      if (answer === undefined) throw tooMuch(kind);
      if ('error' in answer) throw errorFromWire(answer.error);
      return answer.answer;
    } finally {
      this.#wanted.delete(id);
    }
  }

  close(): void {
    void this.#thread?.worker.terminate();
    this.#thread?.port.close();
    this.#thread = undefined;
    this.#current = undefined;
  }

  /** Looks for an answer first. */
  get #isBusy(): boolean {
    if (this.#current === undefined || this.#thread === undefined) return false;
    const received: { message: FromPrograms } | undefined = receiveMessageOnPort(this.#thread.port);
    if (received !== undefined) {
      const { message } = received;
      if (this.#wanted.has(message.id)) this.#wanted.set(message.id, message);
      this.#current = undefined;
    } else if (this.#now() - this.#current.since > SILENCE_MS) this.close();
    return this.#current !== undefined;
  }

  #start(): MessagePort {
    if (this.#thread === undefined) {
      const { port1, port2 } = new MessageChannel();
      const workerData: ProgramsSetup = { port: port2, doorbell: this.#doorbell };
      const worker = new Worker(new URL('./program-worker.js', import.meta.url), {
        name: 'programs',
        workerData,
        transferList: [port2],
        resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB, maxYoungGenerationSizeMb: 4 },
      });
      this.#thread = { worker, port: port1 };
    }
    return this.#thread.port;
  }
}

function tooMuch(kind: ProgramKind): PynqLlmError {
  const limits = `took more than ${SILENCE_MS} ms or ${MEMORY_MIB} MiB`;
  return kind === 'chat'
    ? new PynqLlmError('LLM_CHAT_TEMPLATE_INVALID', `The chat template ${limits}.`)
    : new PynqLlmError('LLM_SCHEMA_TOO_LARGE', `The schema ${limits}.`);
}
