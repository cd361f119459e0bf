import type { TransferListItem } from 'node:worker_threads';
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
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { DmaMemory, FromWorker, ToWorker } from '../worker-link/messages.js';
import type { DeviceMethod, DeviceParams } from '../worker-link/methods.js';
import type { RegisterPlace } from '../worker-link/register-mailbox.js';
import type { FromStage, ToStage } from '../worker-link/stage-messages.js';
import { DeviceCalls } from './device-calls.js';
import { DeviceWorker } from './device-worker.js';
import { HangWatch } from './hang-watch.js';
import { ProgramThreads } from './program-threads.js';
import { RegisterTables } from './register-tables.js';

const RESTART_FIRST_MS = 250;
const RESTART_MOST_MS = 30_000;

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

type State = 'starting' | 'ready' | 'failed' | 'closed';

/** The device's worker as the main thread sees it: calls, events, and a new worker after a crash or a hang. */
export class DeviceHost {
  readonly #options: DeviceHostOptions;
  readonly #calls = new DeviceCalls();
  #state: State = 'starting';
  #worker: DeviceWorker | undefined;
  /** Of the latest worker. */
  #watch: HangWatch | undefined;
  /** Messages for the worker that is about to be started. */
  #held: { readonly message: ToWorker; readonly transfer: TransferListItem[] }[] = [];
  readonly #programs = new ProgramThreads((thread, reason) =>
    this.#post({ kind: 'programs-ended', thread, reason }),
  );
  #restartMs = RESTART_FIRST_MS;
  #cancelRestart: (() => void) | undefined;
  #reportSteps = false;
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
    return this.#watch?.silentMs ?? 0;
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
    const id = this.#calls.takeId();
    options.signal?.addEventListener('abort', () => this.#post({ kind: 'cancel-score', call: id }), {
      once: true,
    });
    const ask = () => {
      this.#post({ kind: 'call', id, session, method, params }, options.transfer);
      this.#stayForWork();
    };
    return this.#calls.wait<M>(id, ask, options.onProgress);
  }

  /** Reads registers: at once where the worker is awake and quick, which spares waking threads for messages. */
  readRegisters(
    session: number,
    places: readonly RegisterPlace[],
  ): { readonly values: number[] } | Promise<{ values: number[] }> {
    const worker = this.#worker;
    if (!worker?.doorbell.isAwake || !worker.registerMailbox.ask(this.#calls.nextId, places))
      return this.call(session, 'registers.read', places);
    const id = this.#calls.takeId();
    worker.doorbell.ring();
    const values = worker.registerMailbox.look();
    if (values !== undefined) return { values };
    return this.#calls.wait<'registers.read'>(id, () => this.#stayForWork());
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
    this.#watch?.stop();
    this.#cancelRestart?.();
    this.#failCalls(new PynqLlmError('AGENT_CLOSING', 'The agent closes the device.'));
    await this.#worker?.close();
  }

  #start(): void {
    const { device, scratch, kv, clientWeights, checkCycles = false, threads, coreTypes } = this.#options;
    const { clock, log, hangMs, isBusy } = this.#options;
    const worker = new DeviceWorker({
      setup: { device, scratch, kv, clientWeights, checkCycles, threads, coreTypes },
      clock,
      log,
      isEmbedded: isBusy !== undefined,
      onMessage: (message) => {
        this.#take(message, worker);
        this.#stayForWork();
      },
      onEnd: (what, cause) => this.#lost(worker, 'AGENT_WORKER_CRASHED', what, cause),
    });
    this.#worker = worker;
    this.#watch = new HangWatch({
      doorbell: worker.doorbell,
      clock,
      hangMs,
      onHung: (ms) => {
        const what = `The device's worker made no progress for ${ms} ms`;
        this.#lost(worker, 'AGENT_WORKER_HUNG', what, undefined);
      },
    });
    if (this.#reportSteps) this.reportSteps(true);
    const held = this.#held;
    this.#held = [];
    for (const { message, transfer } of held) this.#post(message, transfer);
  }

  #take(message: FromWorker, { doorbell }: DeviceWorker): void {
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
        this.#calls.resolve(message.id, message.result);
        return;
      case 'failure':
        if (message.stack !== undefined)
          this.#options.log.error({ stack: message.stack }, 'unexpected error on the device worker');
        this.#calls.reject(message.id, errorFromWire(message.error));
        return;
      case 'progress':
        this.#calls.progress(message.id, message.done, message.total, message.unit);
        return;
      case 'memory':
        this.dmaMemory = message.dmaMemory;
        return;
      case 'note':
        this.#options.log.warn({ note: message.text }, 'weights that were kept');
        return;
      case 'start-programs':
        this.#programs.start(message.thread, message.port, doorbell.shared);
        return;
      case 'end-programs':
        this.#programs.end(message.thread);
        return;
      case 'stage-batch':
      case 'stage-turn':
      case 'stage-ran':
      case 'stage-failed':
        this.#options.onStage(message);
        return;
      case 'step':
        for (const { generation, event } of message.events) this.#options.onEvent(generation, event);
        if (message.step !== undefined) this.#options.onStep(message.step);
    }
  }

  #lost(worker: DeviceWorker, code: ErrorCodeName, what: string, cause: unknown): void {
    if (worker !== this.#worker) return;
    for (const message of worker.lastMessages()) this.#take(message, worker);
    this.#worker = undefined;
    this.#programs.endAll();
    this.#watch?.stop();
    worker.end();
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
    this.#cancelRestart = this.#options.clock.after(this.#restartMs, () => this.#restart());
    this.#restartMs = Math.min(RESTART_MOST_MS, this.#restartMs * 2);
  }

  #restart(): void {
    if (this.#state === 'closed') return;
    this.restarts++;
    this.#start();
  }

  #failCalls(error: PynqLlmError): void {
    this.#calls.failAll(error);
    this.#stayForWork();
  }

  #stayForWork(): void {
    const { isBusy } = this.#options;
    if (isBusy === undefined) return;
    const busy = this.#state !== 'closed' && (this.#calls.count > 0 || this.#reportSteps || isBusy());
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
    if (this.#worker === undefined) {
      if (this.#refusal() === undefined) this.#held.push({ message, transfer });
      return;
    }
    this.#worker.post(message, transfer);
  }
}
