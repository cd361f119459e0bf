import { isPynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { OnProgress, Params, Result, StoredModel } from '../../protocol/index.js';
import type { ModelStore, StoreEntry } from '../store/model-store.js';
import type { DeviceParams } from '../worker-link/methods.js';
import type { StageSettings } from '../worker-link/stage-messages.js';
import type { DeviceHost } from './device-host.js';
import { findModel } from './model-handlers.js';

/** The models of the store, by digest, and which of them are on the device. */
export class Models {
  readonly #store: ModelStore;
  readonly #device: () => DeviceHost;
  readonly #log: Log;
  /** Those that are not only stored. */
  readonly #states = new Map<string, 'loading' | 'loaded'>();

  constructor(store: ModelStore, device: () => DeviceHost, log: Log) {
    this.#store = store;
    this.#device = device;
    this.#log = log;
  }

  /** Models on the device, or on their way there. */
  get count(): number {
    return this.#states.size;
  }

  stateOf(digest: string): StoredModel['state'] {
    return this.#states.get(digest) ?? 'stored';
  }

  /** What clients are told of a model. */
  describe(entry: StoreEntry): StoredModel {
    return { ...entry, names: [...entry.names], state: this.stateOf(entry.digest) };
  }

  /** @throws PynqLlmError AGENT_MODEL_UNKNOWN */
  find(digest: string): Promise<StoreEntry> {
    return findModel(this.#store, digest);
  }

  /** Whether a model could be loaded now. @throws PynqLlmError as loading it would */
  check(session: number, params: Params<'models.check'>): Promise<Result<'models.check'>> {
    return this.#device().call(session, 'models.check', { ...params, path: this.#store.path(params.model) });
  }

  /**
   * @param onProgress told the bytes of weights that are loaded, and how many there are
   * @param stage some of its layers alone
   */
  async load(
    session: number,
    params: Params<'models.load'>,
    onProgress: OnProgress,
    stage?: StageSettings,
    over?: SharedArrayBuffer,
  ): Promise<Result<'models.load'>> {
    const { model } = params;
    const before = this.#states.get(model);
    if (before === undefined) this.#states.set(model, 'loading');
    try {
      const isPart = stage !== undefined && (await this.#store.find(model)) === undefined;
      const path = isPart ? this.#store.parts.path(model) : this.#store.path(model);
      const packed = await this.#packedPlace();
      const request = { ...params, path, packed, stage, over };
      const result = await this.#device().call(session, 'models.load', request, { onProgress });
      this.#states.set(model, 'loaded');
      return result;
    } catch (error) {
      if (before === undefined) this.#states.delete(model);
      throw error;
    }
  }

  /** Without one nothing is kept, and models load all the same. */
  async #packedPlace(): Promise<DeviceParams<'models.load'>['packed']> {
    try {
      return await this.#store.packedPlace();
    } catch (error) {
      this.#log.warn({ err: error }, 'packed weights are not kept');
      return undefined;
    }
  }

  async unload(session: number, params: DeviceParams<'models.unload'>): Promise<void> {
    await this.#device().call(session, 'models.unload', params);
    this.#states.delete(params.model);
  }

  /** Ends the recording of a trace, with which the worker unloads every model. */
  async stopTrace(session: number, params: Params<'trace.stop'>): Promise<Result<'trace.stop'>> {
    try {
      const result = await this.#device().call(session, 'trace.stop', params);
      this.clear();
      return result;
    } catch (error) {
      // The recording has ended all the same, unless there was none.
      if (isPynqLlmError(error, 'AGENT_TRACE_FAILED')) this.clear();
      throw error;
    }
  }

  /** The device has none of them any more. */
  clear(): void {
    this.#states.clear();
  }
}
