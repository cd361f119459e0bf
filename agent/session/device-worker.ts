import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type TransferListItem,
  type Worker,
} from 'node:worker_threads';
import type { Log } from '../../listen/index.js';
import type { Clock } from '../../protocol/index.js';
import { startWorker } from '../worker/start.js';
import { Doorbell } from '../worker-link/doorbell.js';
import type { FromWorker, ToWorker, WorkerSetup } from '../worker-link/messages.js';
import { RegisterMailbox } from '../worker-link/register-mailbox.js';

const YOUNG_GENERATION_MIB = 6;
/** A worker that is told to close has so long. */
const CLOSE_MS = 2_000;

interface DeviceWorkerOptions {
  readonly setup: Omit<WorkerSetup, 'port' | 'doorbell' | 'registerMailbox'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the process may end while it runs. */
  readonly isEmbedded: boolean;
  readonly onMessage: (message: FromWorker) => void;
  /** It crashed or ended. */
  readonly onEnd: (what: string, cause: unknown) => void;
}

/** One worker of the device, from its start to its end, and what main thread and worker reach each other by. */
export class DeviceWorker {
  readonly doorbell = new Doorbell();
  readonly registerMailbox = new RegisterMailbox();
  readonly #clock: Clock;
  readonly #worker: Worker;
  readonly #port: MessagePort;

  constructor({ setup, clock, log, isEmbedded, onMessage, onEnd }: DeviceWorkerOptions) {
    this.#clock = clock;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: WorkerSetup = {
      ...setup,
      doorbell: this.doorbell.shared,
      registerMailbox: this.registerMailbox.shared,
      port: port2,
    };
    this.#worker = startWorker({
      name: 'device',
      // Memory that a board has little of; what a step leaves behind is small and soon collected.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      // Its output goes to the log: written directly it would wait for a reader that may never come.
      stdout: true,
      stderr: true,
      workerData,
      transferList: [port2],
    });
    port1.on('message', onMessage);
    this.#worker.on('error', (error) => onEnd("The device's worker crashed", error));
    this.#worker.on('exit', (code) => onEnd(`The device's worker ended with status ${code}`, undefined));
    if (isEmbedded) {
      // Its output is left unread, as the log is: a stream that is read keeps the process alive.
      this.#worker.unref();
      port1.unref();
    } else
      for (const output of [this.#worker.stdout, this.#worker.stderr])
        output
          .setEncoding('utf8')
          .on('data', (text: string) => log.warn({ text }, "the device's worker said something"));
  }

  post(message: ToWorker, transfer: TransferListItem[] = []): void {
    this.#port.postMessage(message, transfer);
    this.doorbell.ring();
  }

  /** What it said and was not heard yet: its end may be heard of before, such as why it could not open the device. */
  *lastMessages(): Generator<FromWorker, void, void> {
    for (;;) {
      const last = receiveMessageOnPort(this.#port);
      if (last === undefined) return;
      yield last.message;
    }
  }

  /** Ends it as it is. */
  end(): void {
    this.#port.close();
    void this.#worker.terminate();
  }

  /** Has it close the device. Resolves when it has ended. */
  async close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.ref();
    this.post({ kind: 'close' });
    const stop = this.#clock.after(CLOSE_MS, () => void this.#worker.terminate());
    await ended;
    stop();
  }
}
