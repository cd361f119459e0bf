import type { BoardClient, LoadSettings, Model, StoredModel } from '../sdk/index.js';
import type { ServedDevice } from './served-device.js';

const NO_BYTES = new Uint8Array();

/** A model in a list: OpenAI's shape, and what we know beside it. */
type ListedModel = ReturnType<typeof listed>;

/** A model as requests use it. */
export interface ServedModel {
  readonly model: Model;
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

  /** @param name name or digest @throws PynqLlmError AGENT_MODEL_UNKNOWN, LLM_..., AGENT_... */
  async get(name: string): Promise<ServedModel> {
    const { board } = this.#device;
    const { digest } = await board.models.get(name);
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

  async #load(board: BoardClient, digest: string): Promise<ServedModel> {
    const model = await board.models.load(digest, this.#settings);
    const known = new Map<number, Uint8Array>();
    return {
      model,
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
