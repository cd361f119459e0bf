import type { BoardClient, LoadSettings, Model } from '../sdk/index.js';

/** A model as requests use it. */
export interface ServedModel {
  readonly model: Model;
  /** The text of a single token inside of a text. */
  readonly pieceOf: (id: number) => Promise<string>;
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
    const pieces = new Map<number, Promise<string>>();
    // One after the other: those of a long answer at once are more requests than a session may have under way.
    let before: Promise<unknown> = Promise.resolve();
    return {
      model,
      pieceOf: (id) => {
        let piece = pieces.get(id);
        if (piece === undefined) {
          piece = before.then(() => pieceOf(model, id));
          before = piece.catch(() => {});
          pieces.set(id, piece);
          piece.catch(() => pieces.delete(id));
        }
        return piece;
      },
    };
  }
}

/** At the beginning of a text a tokenizer may take a space away, so the token is written twice. */
async function pieceOf(model: Model, id: number): Promise<string> {
  const [once, twice] = await Promise.all([model.detokenize([id]), model.detokenize([id, id])]);
  return twice.slice(once.length);
}
