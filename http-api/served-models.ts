import type { BoardClient, LoadSettings, Model } from '../sdk/index.js';

const NO_BYTES = new Uint8Array();

/** A model as requests use it. */
export interface ServedModel {
  readonly model: Model;
  /** Asks for the bytes of tokens inside of a text. @returns those of each */
  readonly piecesOf: (ids: readonly number[]) => Promise<(id: number) => Uint8Array>;
}

/** The board's models, loaded when a request first names them. */
export class ServedModels {
  readonly #board: BoardClient;
  readonly #settings: LoadSettings;
  readonly #loaded = new Map<string, Promise<ServedModel>>();

  constructor(board: BoardClient, settings: LoadSettings) {
    this.#board = board;
    this.#settings = settings;
  }

  /** `GET /v1/models`: one entry for each name, or for the digest of a model without one. */
  async list() {
    const models = await this.#board.models.list();
    return models.flatMap(({ digest, names, bytes, state }) =>
      (names.length > 0 ? names : [digest]).map((id) => ({
        id,
        object: 'model' as const,
        created: 0,
        owned_by: 'pynq-llm',
        digest,
        bytes,
        state,
      })),
    );
  }

  /** @param name name or digest @throws PynqLlmError AGENT_MODEL_UNKNOWN, LLM_..., AGENT_... */
  async get(name: string): Promise<ServedModel> {
    const { digest } = await this.#board.models.get(name);
    let loading = this.#loaded.get(digest);
    if (loading === undefined) {
      loading = this.#load(digest);
      this.#loaded.set(digest, loading);
      loading.catch(() => this.#loaded.delete(digest));
    }
    return loading;
  }

  async #load(digest: string): Promise<ServedModel> {
    const model = await this.#board.models.load(digest, this.#settings);
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
