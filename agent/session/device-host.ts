import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type TransferListItem,
  type Worker,
} from 'node:worker_threads';
import { type ErrorCodeName, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import {
  type BoardInfo,
  type Clock,
  type CoreTypes,
  errorFromWire,
  type GenerateEvent,
  type OnProgress,
  type Result,
  type StepEvent,
} from '../../protocol/index.js';
import { startWorker } from '../worker/start.js';
import { Doorbell } from '../worker-link/doorbell.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { DmaMemory, FromWorker, ToWorker, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceMethod, DeviceParams } from '../worker-link/methods.js';
import { RegisterMailbox, type RegisterPlace } from '../worker-link/register-mailbox.js';
import type { FromStage, ToStage } from '../worker-link/stage-messages.js';
import { ProgramThreads } from './program-threads.js';
import { RegisterTables } from './register-tables.js';

/** A worker that makes no progress for so long is taken for hung: a step of the slowest board takes seconds. */
const HANG_MS = 120_000;
const WATCH_MS = 1_000;
const RESTART_FIRST_MS = 250;
const RESTART_MOST_MS = 30_000;

const YOUNG_GENERATION_MIB = 6;

export interface DeviceHostOptions {
  readonly device: string;
  readonly scratch: string;
  readonly kv: KvSettings;
  readonly clientWeights: ReadonlyMap<string, number>;
  readonly checkCycles?: boolean | undefined;
  /** As many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** Where who loads a model does not say. */
  readonly coreTypes?: CoreTypes | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Silence after which a busy worker is ended. */
  readonly hangMs?: number | undefined;
  readonly onEvent: (generation: string, event: GenerateEvent) => void;
  readonly onStep: (step: Omit<StepEvent, 'dropped'>) => void;
  /** Told what stages of models say that are cut over several boards. */
  readonly onStage: (message: FromStage) => void;
  /**
   * For a device inside of somebody's program: whether there is work besides calls. The process then stays alive for work
   * alone, so that a program that forgets to close its device ends all the same.
   */
  readonly isBusy?: (() => boolean) | undefined;
  /** The worker ended with everything that was on it. */
  readonly onLost: (reason: PynqLlmError) => void;
}

interface PendingCall {
  readonly resolve: (result: Result<DeviceMethod>) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: OnProgress | undefined;
}

type State = 'starting' | 'ready' | 'failed' | 'closed';

/** The device's worker as the main thread sees it: calls, events, and a new worker after a crash or a hang. */
export class DeviceHost {
  readonly #options: DeviceHostOptions;
  readonly #calls = new Map<number, PendingCall>();
  #state: State = 'starting';
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  #doorbell = new Doorbell();
  #registerMailbox = new RegisterMailbox();
  /** Messages for the worker that is about to be started. */
  #held: { readonly message: ToWorker; readonly transfer: TransferListItem[] }[] = [];
  readonly #programs = new ProgramThreads((thread, reason) =>
    this.#post({ kind: 'programs-ended', thread, reason }),
  );
  #nextCall = 0;
  #restartMs = RESTART_FIRST_MS;
  #lastBeat: number | undefined;
  #lastBeatAt = 0;
  #reportSteps = false;
  #cancelTimers: (() => void)[] = [];
  /** Keeps the process alive while there is work; worker and port do so by themselves unless `isBusy` is given. */
  #work: NodeJS.Timeout | undefined;

  restarts = 0;
  lastError: PynqLlmError | undefined;
  description: BoardInfo['description'] | undefined;
  registers: RegisterTables | undefined;
  dmaMemory: DmaMemory | undefined;

  constructor(options: DeviceHostOptions) {
    this.#options = options;
    this.#start();
  }

  get state(): 'starting' | 'ready' | 'failed' {
    return this.#state === 'closed' ? 'failed' : this.#state;
  }

  /** Milliseconds since the busy worker last made progress; 0 while it has nothing to do. */
  get silentMs(): number {
    return this.#lastBeat === undefined ? 0 : this.#options.clock.now() - this.#lastBeatAt;
  }

  /**
   * Asks the worker. Waits while the worker is starting, also after a crash, unless it crashed again at its start.
   * @throws PynqLlmError from the worker, AGENT_WORKER_CRASHED, AGENT_WORKER_HUNG, AGENT_DEVICE_FAILED
   */
  call<M extends DeviceMethod>(
    session: number,
    method: M,
    params: DeviceParams<M>,
    options: {
      onProgress?: OnProgress;
      transfer?: TransferListItem[];
      /** Aborted where nobody waits for scores any more. */
      signal?: AbortSignal;
    } = {},
  ): Promise<Result<M>> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const id = this.#nextCall++;
    options.signal?.addEventListener('abort', () => this.#post({ kind: 'cancel-score', call: id }), {
      once: true,
    });
    return new Promise<Result<M>>((resolve, reject) => {
      this.#calls.set(id, {
        // The worker answers method M with a result of method M.
        resolve: (result) => resolve(result as Result<M>),
        reject,
        onProgress: options.onProgress,
      });
      this.#post({ kind: 'call', id, session, method, params }, options.transfer);
      this.#stayForWork();
    });
  }

  /** Reads registers: at once where the worker is awake and quick, which spares waking threads for messages. */
  readRegisters(
    session: number,
    places: readonly RegisterPlace[],
  ): { readonly values: number[] } | Promise<{ values: number[] }> {
    const id = this.#nextCall;
    if (this.#worker === undefined || !this.#doorbell.isAwake || !this.#registerMailbox.ask(id, places))
      return this.call(session, 'registers.read', places);
    this.#nextCall++;
    this.#doorbell.ring();
    const values = this.#registerMailbox.look();
    if (values !== undefined) return { values };
    return new Promise((resolve, reject) => {
      this.#calls.set(id, {
        resolve: (result) => resolve(result as Result<'registers.read'>),
        reject,
        onProgress: undefined,
      });
      this.#stayForWork();
    });
  }

  grant(generation: string, credit: number): void {
    this.#post({ kind: 'grant', generation, credit });
  }

  cancel(generation: string): void {
    this.#post({ kind: 'cancel', generation });
  }

  /** Tells the worker something of a model that is cut over several boards. */
  stage(message: ToStage, transfer: TransferListItem[] = []): void {
    this.#post(message, transfer);
  }

  endSession(session: number): void {
    this.#post({ kind: 'end-session', session });
  }

  reportSteps(on: boolean): void {
    this.#reportSteps = on;
    this.#post({ kind: 'report-steps', on });
    this.#stayForWork();
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    for (const cancel of this.#cancelTimers) cancel();
    this.#failCalls(new PynqLlmError('AGENT_CLOSING', 'The agent closes the device.'));
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.ref();
    this.#post({ kind: 'close' });
    const stop = this.#options.clock.after(2_000, () => void worker.terminate());
    await ended;
    stop();
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    this.#doorbell = new Doorbell();
    this.#registerMailbox = new RegisterMailbox();
    this.#lastBeat = undefined;
    this.#port = port1;
    const setup: WorkerSetup = {
      device: this.#options.device,
      scratch: this.#options.scratch,
      kv: this.#options.kv,
      clientWeights: this.#options.clientWeights,
      checkCycles: this.#options.checkCycles ?? false,
      threads: this.#options.threads,
      coreTypes: this.#options.coreTypes,
      doorbell: this.#doorbell.shared,
      registerMailbox: this.#registerMailbox.shared,
      port: port2,
    };
    const worker = startWorker({
      name: 'device',
      // Memory that a board has little of; what a step leaves behind is small and soon collected.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      // Its output goes to the log: written directly it would wait for a reader that may never come.
      stdout: true,
      stderr: true,
      workerData: setup,
      transferList: [port2],
    });
    this.#worker = worker;
    port1.on('message', (message: FromWorker) => {
      this.#take(message);
      this.#stayForWork();
    });
    worker.on('error', (error) =>
      this.#lost(worker, 'AGENT_WORKER_CRASHED', "The device's worker crashed", error),
    );
    worker.on('exit', (code) =>
      this.#lost(worker, 'AGENT_WORKER_CRASHED', `The device's worker ended with status ${code}`, undefined),
    );
    this.#cancelTimers = [this.#watch(worker)];
    if (this.#options.isBusy !== undefined) {
      // Its output is left unread, as the log is: a stream that is read keeps the process alive.
      worker.unref();
      port1.unref();
    } else
      for (const output of [worker.stdout, worker.stderr])
        output
          .setEncoding('utf8')
          .on('data', (text: string) =>
            this.#options.log.warn({ text }, "the device's worker said something"),
          );
    if (this.#reportSteps) this.reportSteps(true);
    const held = this.#held;
    this.#held = [];
    for (const { message, transfer } of held) this.#post(message, transfer);
  }

  #watch(worker: Worker): () => void {
    const hangMs = this.#options.hangMs ?? HANG_MS;
    const { clock } = this.#options;
    let cancel: () => void;
    const look = () => {
      const beat = this.#doorbell.beat;
      if (beat === undefined || beat !== this.#lastBeat) {
        this.#lastBeat = beat;
        this.#lastBeatAt = clock.now();
      } else if (clock.now() - this.#lastBeatAt > hangMs) {
        this.#lost(
          worker,
          'AGENT_WORKER_HUNG',
          `The device's worker made no progress for ${hangMs} ms`,
          undefined,
        );
        return;
      }
      cancel = clock.after(Math.min(WATCH_MS, hangMs / 4), look);
    };
    cancel = clock.after(Math.min(WATCH_MS, hangMs / 4), look);
    return () => cancel();
  }

  #take(message: FromWorker): void {
    // What was on its way when the device was closed: it must not look open again, or its worker be started again.
    if (this.#state === 'closed') return;
    switch (message.kind) {
      case 'ready':
        this.#state = 'ready';
        this.#restartMs = RESTART_FIRST_MS;
        this.description = message.description;
        this.registers = new RegisterTables(message.description);
        this.dmaMemory = message.dmaMemory;
        return;
      case 'open-failed':
        this.#state = 'failed';
        this.lastError = errorFromWire(message.error);
        this.#options.log.error({ err: this.lastError }, 'device could not be opened');
        this.#failCalls(this.#deviceFailed());
        return;
      case 'reply':
        this.#settle(message.id)?.resolve(message.result);
        return;
      case 'failure':
        if (message.stack !== undefined)
          this.#options.log.error({ stack: message.stack }, 'unexpected error on the device worker');
        this.#settle(message.id)?.reject(errorFromWire(message.error));
        return;
      case 'progress':
        this.#calls.get(message.id)?.onProgress?.(message.done, message.total, message.unit);
        return;
      case 'memory':
        this.dmaMemory = message.dmaMemory;
        return;
      case 'note':
        this.#options.log.warn({ note: message.text }, 'weights that were kept');
        return;
      case 'start-programs':
        this.#programs.start(message.thread, message.port, this.#doorbell.shared);
        return;
      case 'end-programs':
        this.#programs.end(message.thread);
        return;
      case 'stage-batch':
      case 'stage-ran':
      case 'stage-failed':
        this.#options.onStage(message);
        return;
      case 'step':
        for (const { generation, event } of message.events) this.#options.onEvent(generation, event);
        if (message.step !== undefined) this.#options.onStep(message.step);
    }
  }

  /** The end of a worker may be heard of before what it said last, such as why it could not open the device. */
  #takeLastMessages(): void {
    if (this.#port === undefined || this.#state === 'closed') return;
    for (;;) {
      const last = receiveMessageOnPort(this.#port);
      if (last === undefined) return;
      this.#take(last.message);
    }
  }

  #settle(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  #lost(worker: Worker, code: ErrorCodeName, what: string, cause: unknown): void {
    if (worker !== this.#worker) return;
    this.#takeLastMessages();
    this.#worker = undefined;
    this.#programs.endAll();
    this.#port?.close();
    this.#port = undefined;
    for (const cancel of this.#cancelTimers) cancel();
    void worker.terminate();
    if (this.#state === 'closed') return;
    const opened = this.#state !== 'failed';
    if (opened) {
      const detail = cause instanceof Error ? `: ${cause.message}` : '';
      const error = new PynqLlmError(code, `${what}${detail}.`, cause === undefined ? {} : { cause });
      this.#options.log.error({ err: error }, 'device worker lost');
      this.lastError = error;
      this.#state = 'starting';
      this.#failCalls(error);
      this.#options.onLost(error);
      this.#stayForWork();
    }
    this.#cancelTimers = [this.#options.clock.after(this.#restartMs, () => this.#restart())];
    this.#restartMs = Math.min(RESTART_MOST_MS, this.#restartMs * 2);
  }

  #restart(): void {
    if (this.#state === 'closed') return;
    this.restarts++;
    this.#start();
  }

  #failCalls(error: PynqLlmError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(error);
    this.#stayForWork();
  }

  #stayForWork(): void {
    const { isBusy } = this.#options;
    if (isBusy === undefined) return;
    const busy = this.#state !== 'closed' && (this.#calls.size > 0 || this.#reportSteps || isBusy());
    if (busy) this.#work ??= setInterval(() => {}, 2 ** 30);
    else {
      clearInterval(this.#work);
      this.#work = undefined;
    }
  }

  #refusal(): PynqLlmError | undefined {
    if (this.#state === 'closed') return new PynqLlmError('AGENT_CLOSING', 'The device is closed.');
    if (this.#state === 'failed') return this.#deviceFailed();
    // A worker that crashes at its start is started later and later: nobody should wait for it.
    return this.#worker === undefined && this.#restartMs > 2 * RESTART_FIRST_MS ? this.lastError : undefined;
  }

  #deviceFailed(): PynqLlmError {
    const reason = this.lastError;
    return new PynqLlmError(
      'AGENT_DEVICE_FAILED',
      `${this.#options.device} could not be opened: ${reason?.what ?? 'it gave no reason.'}`,
      {
        cause: reason,
        context: { device: this.#options.device, code: reason?.code ?? '' },
        ...(reason === undefined ? {} : { remedy: reason.remedy }),
      },
    );
  }

  #post(message: ToWorker, transfer: TransferListItem[] = []): void {
    if (this.#port === undefined) {
      if (this.#refusal() === undefined) this.#held.push({ message, transfer });
      return;
    }
    this.#port.postMessage(message, transfer);
    this.#doorbell.ring();
  }
}
