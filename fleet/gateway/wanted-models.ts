import type { Bus, KeyValue } from '../../bus/index.js';
import { checkParams, type Params } from '../../protocol/index.js';
import { checked, pack, unpack } from '../messages.js';
import { MODELS } from '../subjects.js';

const STORE_MS = 5_000;
const wanted = checked((value) => checkParams('models.load', value));

/** The models that every board is to have, also those that come later, and how they are loaded: kept on the bus for the next gateway. */
export class WantedModels {
  readonly #bucket: KeyValue;
  readonly #models = new Map<string, Params<'models.load'>>();

  private constructor(bus: Bus) {
    this.#bucket = bus.bucket(MODELS);
  }

  /** With what the gateways before were told. @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE; the signal's reason */
  static async open(bus: Bus, signal: AbortSignal): Promise<WantedModels> {
    const models = new WantedModels(bus);
    for await (const event of models.#bucket.watch({ signal })) {
      if (event.kind === 'ready') return models;
      if (event.kind === 'deleted') models.#models.delete(event.key);
      else models.#models.set(event.key, unpack(wanted, event.value, `How model ${event.key} is loaded`));
    }
    throw signal.reason;
  }

  get size(): number {
    return this.#models.size;
  }

  get all(): Params<'models.load'>[] {
    return [...this.#models.values()];
  }

  has(digest: string): boolean {
    return this.#models.has(digest);
  }

  /** @throws PynqLlmError BUS_... */
  async add(params: Params<'models.load'>): Promise<void> {
    this.#models.set(params.model, params);
    try {
      await this.#bucket.put(params.model, pack(params), { timeoutMs: STORE_MS });
    } catch (error) {
      this.#models.delete(params.model);
      throw error;
    }
  }

  /** @throws PynqLlmError BUS_... */
  async remove(digest: string): Promise<void> {
    await this.#bucket.delete(digest, undefined, { timeoutMs: STORE_MS });
    this.#models.delete(digest);
  }
}
