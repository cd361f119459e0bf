import type { PynqLlmError } from '../../errors/index.js';
import type { StageBatch } from '../../llm/index.js';
import {
  errorFromWire,
  errorToWire,
  type OnProgress,
  type Params,
  type Result,
} from '../../protocol/index.js';
import type { PartPlan } from '../store/model-parts.js';
import type { ModelStore } from '../store/model-store.js';
import type { FromStage, StageSettings } from '../worker-link/stage-messages.js';
import type { DeviceHost } from './device-host.js';
import type { Models } from './models.js';

interface Running {
  readonly resolve: (hidden: Float32Array) => void;
  readonly reject: (error: unknown) => void;
}

/** Hears of a plan from the device's thread: of the last stage, but for turns. */
export interface StageListener {
  /** It has begun a batch. */
  readonly onBatch: (batch: StageBatch) => void;
  /** The first board of a stage on several boards comes to a batch that it was given, and waits for the others. */
  readonly onTurn?: ((number: number) => void) | undefined;
  /** It cannot complete one. */
  readonly onFailed: (error: PynqLlmError) => void;
}

/**
 * Models of which a board has some layers alone, for who brings hidden states from board to board in the agent's own process: the
 * protocol has no part in it.
 */
export class AgentStages {
  readonly #device: () => DeviceHost;
  readonly #models: Models;
  readonly #store: ModelStore;
  readonly #running = new Map<string, Running>();
  /** By model: who hears of the batches of its plan. */
  readonly #begun = new Map<string, { readonly plan: number; readonly listener: StageListener }>();
  readonly #onLost = new Set<(reason: PynqLlmError) => void>();

  constructor(device: () => DeviceHost, models: Models, store: ModelStore) {
    this.#device = device;
    this.#models = models;
    this.#store = store;
  }

  /**
   * Has the wanted chunks of a model's file, unless the whole file is there.
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH, AGENT_STORE_...; as `plan.read`
   */
  async fetch(plan: PartPlan, onProgress: OnProgress): Promise<void> {
    await this.#store.parts.fetch(plan, onProgress);
  }

  /** Whether the whole file of a model is there. @throws PynqLlmError AGENT_STORE_FAILED */
  async hasFile(model: string): Promise<boolean> {
    return (await this.#store.find(model)) !== undefined;
  }

  /**
   * Loads layers of a model, instead of what is loaded of it, which is ended first.
   * @param signal ends it between two matrices: then nothing of the model is loaded
   * @throws PynqLlmError FLEET_STAGE_LOST by the signal, and as models.load
   */
  async load(
    params: Params<'models.load'>,
    stage: StageSettings,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Result<'models.load'>> {
    // The device's thread, which hears of nothing while it loads, looks at it.
    const over = new Int32Array(new SharedArrayBuffer(4));
    const end = () => void Atomics.store(over, 0, 1);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    try {
      return await this.#models.load(0, params, onProgress, stage, over.buffer);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  /** Ends what runs on them, and unloads them. @throws PynqLlmError AGENT_MODEL_NOT_LOADED */
  unload(model: string): Promise<void> {
    this.#begun.delete(model);
    return this.#models.unload(0, { model, force: true });
  }

  /** A plan begins: nothing is cached. @param listener hears of its batches */
  begin(model: string, plan: number, listener: StageListener): void {
    this.#begun.set(model, { plan, listener });
    this.#device().stage({ kind: 'stage-begin', model, plan });
  }

  /** A plan is over: what runs on the last stage ends with the error. */
  end(model: string, plan: number, error: PynqLlmError): void {
    if (this.#begun.get(model)?.plan === plan) this.#begun.delete(model);
    for (const [key, { reject }] of this.#running)
      if (key.startsWith(keyOf(model, plan, ''))) {
        this.#running.delete(key);
        reject(error);
      }
    this.#device().stage({
      kind: 'stage-end',
      model,
      plan,
      error: errorToWire(error, 'AGENT_INTERNAL'),
    });
  }

  /**
   * Computes the layers of any stage but the last.
   * @param hidden columns * embedding values, which are the agent's from then on; undefined for the first stage
   * @returns as many
   * @throws PynqLlmError FLEET_STAGE_LOST, DRIVER_..., AGENT_WORKER_...
   */
  run(
    model: string,
    plan: number,
    batch: StageBatch,
    hidden: Float32Array<ArrayBuffer> | undefined,
  ): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      this.#running.set(keyOf(model, plan, batch.number), { resolve, reject });
      const transfer = hidden === undefined ? [] : [hidden.buffer];
      this.#device().stage({ kind: 'stage-run', model, plan, batch, hidden }, transfer);
    });
  }

  /** Gives the last stage what the others have computed of its batch. @param hidden as for `run` */
  complete(model: string, plan: number, number: number, hidden: Float32Array<ArrayBuffer>): void {
    this.#device().stage({ kind: 'stage-hidden', model, plan, number, hidden }, [hidden.buffer]);
  }

  /** Tells when the device has lost all that was on it. @returns a function that ends this */
  onLost(tell: (reason: PynqLlmError) => void): () => void {
    this.#onLost.add(tell);
    return () => this.#onLost.delete(tell);
  }

  /** For the agent: what the device's thread says. */
  take(message: FromStage): void {
    const { model, plan } = message;
    const begun = this.#begun.get(model);
    const listener = begun?.plan === plan ? begun.listener : undefined;
    if (message.kind === 'stage-batch') {
      listener?.onBatch(message.batch);
      return;
    }
    if (message.kind === 'stage-turn') {
      listener?.onTurn?.(message.number);
      return;
    }
    const key = keyOf(model, plan, message.number);
    const running = this.#running.get(key);
    this.#running.delete(key);
    if (message.kind === 'stage-ran') {
      running?.resolve(message.hidden);
      return;
    }
    const error = errorFromWire(message.error);
    if (running === undefined) listener?.onFailed(error);
    else running.reject(error);
  }

  /** For the agent: the device's thread ended with everything that was on it. */
  lost(reason: PynqLlmError): void {
    this.#begun.clear();
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const { reject } of running) reject(reason);
    for (const tell of [...this.#onLost]) tell(reason);
  }
}

function keyOf(model: string, plan: number, number: number | ''): string {
  return `${model}/${plan}/${number}`;
}
