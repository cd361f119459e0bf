import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import {
  MAX_NAME_LENGTH,
  type MemoryBudget,
  type StoredCheck,
  type StoredModel,
  type TensorShape,
  type WirePlacementReport,
} from '../protocol/index.js';
import { bytes, callback, listOf, optionsOf, requireArguments, signal } from './arguments.js';
import type { Connection } from './connection.js';
import { type LoadOptions, type LoadSettings, Model, settingsOf } from './model.js';
import { modelToPlan } from './model-to-plan.js';
import { type UploadOptions, upload } from './upload.js';

const STORE = z.object({
  model: z.union([z.string(), bytes], 'must be the path of a file, or a Uint8Array'),
  options: optionsOf({ name: z.string().optional(), onPhase: callback, onProgress: callback, signal }),
});
const NAME = z.object({ model: z.string() });
const LOAD = z.object({ model: z.string(), options: optionsOf({ onProgress: callback, signal }) });
const CHECK = z.object({ model: z.string(), settings: optionsOf({}) });
const BUDGET = z.object({ model: STORE.shape.model, settings: optionsOf({}) });
const PLAN = z.object({ tensors: listOf('shapes of tensors'), settings: optionsOf({}) });

/** Names in the message that there is no such model. */
const NAMES_SHOWN = 20;

/** The models on a board: `board.models`. A model is named by its digest, the first digits of it, or a name. */
export class ModelsClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** What the board stores and has loaded. */
  async list(): Promise<StoredModel[]> {
    const models: StoredModel[] = [];
    let after: string | undefined;
    do {
      // Agents before knew no pages: their first answer has everything.
      const page = await this.#connection.request('models.list', after === undefined ? {} : { after });
      models.push(...page.models);
      // Digests grow from page to page: an agent that turns in circles is not followed.
      after = after === undefined || (page.next ?? '') > after ? page.next : undefined;
    } while (after !== undefined);
    return models;
  }

  /**
   * Puts a model file on the board and loads it. Sends only what the board does not have, and nothing of a model that could not
   * be loaded.
   * @param model path of a GGUF file, or of the first one of a split model, or the bytes
   * @throws PynqLlmError SDK_MODEL_FILE, AGENT_STORE_FULL, GGUF_..., LLM_...
   */
  async upload(model: string | Uint8Array, options: UploadOptions & LoadSettings = {}): Promise<Model> {
    const { signal } = options;
    requireArguments({ model, options }, STORE);
    await this.requireRoom(model, options);
    const { digest } = await this.store(model, options);
    return Model.load(this.#connection, digest, { ...settingsOf(options), signal });
  }

  /**
   * Checks what loading would check of a model, before anything of it is sent: its header, which is read here, and with an
   * agent that can answer, whether the board could load it, were nothing else loaded.
   * @param model path of a GGUF file, or of the first one of a split model, or the bytes
   * @throws PynqLlmError SDK_MODEL_FILE, GGUF_..., LLM_..., as loading it would
   */
  async requireRoom(model: string | Uint8Array, settings: LoadSettings = {}): Promise<void> {
    await this.#ask(model, settings, { alone: true, refuse: true });
  }

  /**
   * What a model file would take of the board's memory as it is now, and whether it would be loaded.
   * @returns undefined where the agent cannot tell
   * @throws PynqLlmError SDK_MODEL_FILE, GGUF_..., LLM_... where loading would refuse the file for what it is
   */
  async budget(model: string | Uint8Array, settings: LoadSettings = {}): Promise<MemoryBudget | undefined> {
    return this.#ask(model, settings, {});
  }

  async #ask(
    model: string | Uint8Array,
    settings: LoadSettings,
    how: { readonly alone?: boolean; readonly refuse?: boolean },
  ): Promise<MemoryBudget | undefined> {
    requireArguments({ model, settings }, BUDGET);
    const asked = await modelToPlan(model);
    if (!this.#connection.hello.capabilities.includes('memory')) return undefined;
    const params = { model: asked.model, tensors: [...asked.tensors], ...settingsOf(settings), ...how };
    return (await this.#connection.request('models.plan', params)).memory;
  }

  /**
   * Puts a model file on the board without loading it, whatever it is: {@link requireRoom} checks it.
   * @param model path of a GGUF file, or of the first one of a split model, which the board gets as one; or the bytes
   */
  async store(model: string | Uint8Array, options: UploadOptions = {}): Promise<StoredModel> {
    requireArguments({ model, options }, STORE);
    return upload(this.#connection, model, options);
  }

  /** What the board knows of a stored model. @throws PynqLlmError AGENT_MODEL_UNKNOWN, SDK_MODEL_NAME */
  async get(model: string): Promise<StoredModel> {
    requireArguments({ model }, NAME);
    const found = await this.#find(model);
    if (found.length === 1) return found[0];
    if (found.length > 1)
      throw new PynqLlmError('SDK_MODEL_NAME', `Several models on the board fit "${model}".`, {
        context: { model, digests: found.map(({ digest }) => digest) },
      });
    const names = await this.#someNames();
    throw new PynqLlmError('AGENT_MODEL_UNKNOWN', `The board has no model "${model}"; it has: ${names}.`, {
      context: { model },
    });
  }

  /**
   * Asks whether a stored model could be loaded now; nothing is loaded.
   * @throws PynqLlmError GGUF_..., LLM_... as loading it would
   */
  async check(model: string, settings: LoadSettings = {}): Promise<StoredCheck> {
    requireArguments({ model, settings }, CHECK);
    const { digest } = await this.get(model);
    return this.#connection.request('models.check', { model: digest, ...settingsOf(settings) });
  }

  /** Loads a stored model. Loading one that is loaded does nothing. */
  async load(model: string, options: LoadOptions = {}): Promise<Model> {
    requireArguments({ model, options }, LOAD);
    return Model.load(this.#connection, (await this.get(model)).digest, options);
  }

  /** Frees the memory of a loaded model. @throws PynqLlmError AGENT_MODEL_BUSY, AGENT_MODEL_NOT_LOADED */
  async unload(model: string): Promise<void> {
    await this.#connection.request('models.unload', { model: (await this.get(model)).digest });
  }

  /** Removes a model from the board. @throws PynqLlmError AGENT_MODEL_BUSY */
  async delete(model: string): Promise<void> {
    await this.#connection.request('models.delete', { model: (await this.get(model)).digest });
  }

  /** Where weight tensors of these shapes would go now; nothing is loaded. Of settings those count that decide it. */
  async plan(tensors: readonly TensorShape[], settings: LoadSettings = {}): Promise<WirePlacementReport> {
    requireArguments({ tensors, settings }, PLAN);
    return this.#connection.request('models.plan', { tensors: [...tensors], ...settingsOf(settings) });
  }

  async #find(model: string): Promise<StoredModel[]> {
    if (model === '' || model.length > MAX_NAME_LENGTH) return [];
    return (await this.#connection.request('models.find', { model })).models;
  }

  /** Some of the names that models have, for a message. */
  async #someNames(): Promise<string> {
    const { models, next } = await this.#connection.request('models.list', {});
    const names = models.flatMap((one) => one.names);
    const more = names.length > NAMES_SHOWN || next !== undefined ? ', and more' : '';
    return names.length === 0 ? 'none' : `${names.slice(0, NAMES_SHOWN).join(', ')}${more}`;
  }
}
