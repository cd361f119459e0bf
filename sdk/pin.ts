import { isPynqLlmError, type PynqLlmError } from '../errors/index.js';
import type { OnProgress, Result, ServiceOptions } from '../protocol/index.js';
import { isBroken } from './broken.js';
import type { CallOptions, Connection } from './connection.js';
import { type Prompt, toWirePrompt } from './generation.js';
import { openWithProgress } from './progress-request.js';
import { randomId } from './random-id.js';
import { toWireService } from './service.js';

/** How a prompt is computed that is to be kept. */
export interface PinOptions extends ServiceOptions, CallOptions {
  /** Told how many tokens of the whole pages are computed. */
  readonly onProgress?: OnProgress | undefined;
}

/** Asks, and where the board has lost the model, loads it and asks again. */
type Use = <T>(request: () => Promise<T>) => Promise<T>;

/**
 * A prompt whose beginning stays in the board's memory. Its pages end with the session on the agent: where the connection
 * breaks and is made again, the prompt is pinned again.
 */
export class Pin implements AsyncDisposable {
  /** Its name on the agent. */
  readonly #id = randomId();
  readonly #connection: Connection;
  readonly #pin: (options: PinOptions) => Promise<{ readonly result: Result<'models.pin'>; release(): void }>;
  #tokens = 0;
  #error: PynqLlmError | undefined;
  #isReleased = false;
  #forget: () => void = () => {};

  private constructor(
    connection: Connection,
    model: string,
    prompt: Prompt,
    { maxPredictedMs: _, ...options }: ServiceOptions,
    use: Use,
  ) {
    const service = toWireService(connection, options);
    const params = { pin: this.#id, model, prompt: toWirePrompt(prompt), service };
    const onLost = (reason: PynqLlmError) => this.#onLost(reason);
    this.#connection = connection;
    this.#pin = ({ onProgress: tell, ...call }) =>
      use(() => openWithProgress(connection, 'models.pin', params, { tell, onLost }, call));
  }

  /** Resolves once the prompt is pinned. @param use loads the model where the board has lost it */
  static async open(
    connection: Connection,
    model: string,
    prompt: Prompt,
    options: PinOptions,
    use: Use,
  ): Promise<Pin> {
    const pin = new Pin(connection, model, prompt, options, use);
    try {
      await pin.#hold(options);
      return pin;
    } catch (error) {
      // Who gave up waiting wants nothing computed any more.
      pin.release().catch(() => {});
      throw error;
    }
  }

  /** Tokens of the prompt that are kept, a multiple of 16: 0 of a shorter prompt, and while it is not pinned. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Why the prompt could not be pinned again after the connection had broken. */
  get error(): PynqLlmError | undefined {
    return this.#error;
  }

  /** Gives back the memory: the pages stay until their room is needed. Harmless where the pin has ended already. */
  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#forget();
    this.#tokens = 0;
    await this.#unpin();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #unpin(): Promise<void> {
    try {
      await this.#connection.request('models.unpin', { pin: this.#id });
    } catch (error) {
      // With its session it has ended.
      const hasEnded = isPynqLlmError(error, 'AGENT_PIN_UNKNOWN') || isPynqLlmError(error, 'SDK_CLOSED');
      if (!hasEnded && !isBroken(error)) throw error;
    }
  }

  async #hold(options: PinOptions): Promise<void> {
    for (;;) {
      try {
        const { result, release } = await this.#pin(options);
        this.#forget = release;
        this.#tokens = result.tokens;
        return;
      } catch (error) {
        if (!isBroken(error)) throw error;
        await this.#connection.ready();
      }
    }
  }

  /** While the prompt is being pinned, its request tells of the loss. */
  #onLost(reason: PynqLlmError): void {
    const wasHeld = this.#tokens > 0;
    this.#tokens = 0;
    if (wasHeld && reason.code !== 'SDK_CLOSED') void this.#holdAgain();
  }

  async #holdAgain(): Promise<void> {
    try {
      await this.#connection.ready();
      if (this.#isReleased) return;
      await this.#hold({});
      if (!this.#isReleased) return;
      // It was released meanwhile, and the agent may have been told so before it was asked to pin.
      this.#forget();
      this.#tokens = 0;
      await this.#unpin();
    } catch (error) {
      if (isPynqLlmError(error) && !this.#isReleased) this.#error = error;
    }
  }
}
