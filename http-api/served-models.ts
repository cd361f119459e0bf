import type { BoardClient, LoadSettings, Model, StoredModel } from '../sdk/index.js';
import { ApiError } from './api-error.js';
import type { ServedDevice } from './served-device.js';

const NO_BYTES = new Uint8Array();

/** A model in a list: OpenAI's shape, and what we know beside it. */
type ListedModel = ReturnType<typeof listed>;

/** A model as requests use it. */
export interface ServedModel {
  readonly model: Model;
  /** A name, or the digest of a model without one. */
  readonly id: string;
  /** Asks for the bytes of tokens inside of a text. @returns those of each */
  readonly piecesOf: (ids: readonly number[]) => Promise<(id: number) => Uint8Array>;
}

/** The board's models, loaded when a request first names them. */
export class ServedModels {
  readonly #device: ServedDevice;
  readonly #settings: LoadSettings;
  /** By digest; a device that was opened anew has none of those before. */
  readonly #loaded = new WeakMap<BoardClient, Map<string, Promise<ServedModel>>>();

  constructor(device: ServedDevice, settings: LoadSettings) {
    this.#device = device;
    this.#settings = settings;
  }

  /** `GET /v1/models`: one entry for each name, or for the digest of a model without one. */
  async list(): Promise<ListedModel[]> {
    const models = await this.#device.board.models.list();
    return models.flatMap((model) =>
      (model.names.length > 0 ? model.names : [model.digest]).map((id) => listed(id, model)),
    );
  }

  /** `GET /v1/models/ID`. @param id name or digest @throws PynqLlmError AGENT_MODEL_UNKNOWN */
  async look(id: string): Promise<ListedModel> {
    return listed(id, await this.#device.board.models.get(id));
  }

  /**
   * @param name name or digest; none is needed where there is one model
   * @throws PynqLlmError AGENT_MODEL_UNKNOWN, LLM_..., AGENT_..., ApiError 400 where it is not known which model is meant
   */
  async get(name: string | null | undefined): Promise<ServedModel> {
    const { board } = this.#device;
    const { digest } = await board.models.get(name ?? (await this.#onlyOne()));
    const loaded = this.#loaded.get(board) ?? new Map<string, Promise<ServedModel>>();
    this.#loaded.set(board, loaded);
    let loading = loaded.get(digest);
    if (loading === undefined) {
      loading = this.#load(board, digest);
      loaded.set(digest, loading);
      loading.catch(() => loaded.delete(digest));
    }
    return loading;
  }

  async #onlyOne(): Promise<string> {
    const stored = await this.#device.board.models.list();
    if (stored.length === 1) return stored[0].digest;
    const names = stored.flatMap((model) => model.names).slice(0, 5);
    throw new ApiError(
      400,
      `There are ${stored.length} models (${names.join(', ')}…): name one.`,
      'invalid_value',
      'model',
    );
  }

  async #load(board: BoardClient, digest: string): Promise<ServedModel> {
    const model = await board.models.load(digest, this.#settings);
    const known = new Map<number, Uint8Array>();
    return {
      model,
      id: (await board.models.get(digest)).names[0] ?? digest,
      piecesOf: async (ids) => {
        const missing = [...new Set(ids)].filter((id) => !known.has(id));
        const pieces = missing.length === 0 ? [] : await model.pieces(missing);
        for (const [i, id] of missing.entries()) known.set(id, pieces[i]);
        return (id) => known.get(id) ?? NO_BYTES;
      },
    };
  }
}

function listed(id: string, { digest, bytes, state }: StoredModel) {
  return { id, object: 'model' as const, created: 0, owned_by: 'pynq-llm', digest, bytes, state };
}
