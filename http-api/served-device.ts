import { setTimeout as delay } from 'node:timers/promises';
import { isPynqLlmError } from '../errors/index.js';
import type { BoardClient, BoardHealth } from '../sdk/index.js';
import { ApiError } from './api-error.js';

/** A device that could not be opened is tried again so often: by then its agent may have been started anew. */
const RETRY_MS = 1_000;
/** Who asks for the server's health, a load balancer, waits for seconds only. */
const HEALTH_MS = 2_000;

/** Connects to the device; resolves when it is open and what the server needs is there. */
export type OpenBoard = (signal: AbortSignal) => Promise<BoardClient>;

export interface ServedDeviceOptions {
  readonly open: OpenBoard;
  /** Once aborted the device is not opened any more. */
  readonly ended: AbortSignal;
  /** Told once when the device is away, with the reason, and when it is back. */
  readonly report?: ((text: string) => void) | undefined;
}

/** What `/health` says of the device. */
export interface DeviceHealth {
  /**
   * `lost`: its connection broke, or it does not answer; `failed`: it cannot be opened, which is tried again; `standby`: it is a gateway of a
   * fleet that another one leads.
   */
  readonly status: 'ok' | 'loading' | 'lost' | 'failed' | 'starting' | 'standby';
  readonly error?: string | undefined;
  /** Parts of the agent that fail while requests can be served. */
  readonly problems?: BoardHealth['problems'];
}

/** The board behind a server: opened, known to be there or not, and opened anew when it was lost for good. */
export class ServedDevice {
  readonly #options: ServedDeviceOptions;
  #board: BoardClient | undefined;
  #asked: Promise<DeviceHealth> | undefined;
  /** Why there is no board; undefined until an attempt to open it has failed. */
  #failure: string | undefined;
  #isStandby = false;

  constructor(options: ServedDeviceOptions) {
    this.#options = options;
  }

  /** Opens the device, once; from then on it is opened anew when it is lost. @throws as `open` of the options */
  async open(signal?: AbortSignal): Promise<void> {
    const { open, ended, report } = this.#options;
    const board = await open(signal === undefined ? ended : AbortSignal.any([ended, signal]));
    this.#board = board;
    if (this.#failure !== undefined) report?.('The device is back.');
    this.#failure = undefined;
    void board.lost.then((reason) => {
      this.#board = undefined;
      this.#fail(reason);
      return this.keepOpening();
    });
  }

  /** Opens the device, as often as it takes. */
  async keepOpening(): Promise<void> {
    const { ended } = this.#options;
    while (!ended.aborted) {
      try {
        return await this.open();
      } catch (error) {
        if (!ended.aborted) this.#fail(error);
      }
      await delay(RETRY_MS, undefined, { signal: ended }).catch(() => undefined);
    }
  }

  /** @throws ApiError 503 where it is not there now */
  get board(): BoardClient {
    if (this.#board?.isConnected) return this.#board;
    const { status, error = 'The device is being opened.' } = this.#away;
    throw new ApiError(503, error, status);
  }

  /** Answers within two seconds, whatever became of the device. */
  async health(): Promise<DeviceHealth> {
    const board = this.#board;
    if (!board?.isConnected) return this.#away;
    // Strangers may ask, too, any number of them: the session that all share answers them one question.
    this.#asked ??= this.#ask(board).finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  async #ask(board: BoardClient): Promise<DeviceHealth> {
    try {
      const { state, lastError, problems } = await board.health({ timeoutMs: HEALTH_MS });
      return { status: state === 'ready' ? 'ok' : state, error: lastError, problems };
    } catch (error) {
      return { status: 'lost', error: messageOf(error) };
    }
  }

  async close(): Promise<void> {
    await this.#board?.close();
  }

  /** Why there is no board to ask. */
  get #away(): DeviceHealth {
    if (this.#board !== undefined) return { status: 'lost', error: 'The connection to the device broke.' };
    if (this.#failure === undefined) return { status: 'loading' };
    return { status: this.#isStandby ? 'standby' : 'failed', error: this.#failure };
  }

  #fail(error: unknown): void {
    const failure = messageOf(error);
    if (failure !== this.#failure) this.#options.report?.(`${failure} Trying again every second.`);
    this.#failure = failure;
    this.#isStandby = isPynqLlmError(error, 'FLEET_STANDBY');
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
