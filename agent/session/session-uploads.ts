import { PynqLlmError } from '../../errors/index.js';
import type { Params, Result } from '../../protocol/index.js';
import type { ModelStore, StoreEntry } from '../store/model-store.js';
import type { Upload } from '../store/upload.js';

/** Uploads that one session may have open: each keeps a file open. */
const MAX_UPLOADS = 4;

/** The uploads of one session. What it received stays in the store when the session ends. */
export class SessionUploads {
  readonly #store: ModelStore;
  readonly #uploads = new Map<number, { readonly upload: Upload; readonly name: string }>();
  #nextId = 1;
  /** Uploads that are being opened: they count as open. */
  #opening = 0;
  #closed = false;

  constructor(store: ModelStore) {
    this.#store = store;
  }

  /** A model that the store has already only gets the name. */
  async begin(
    params: Params<'models.uploadBegin'>,
  ): Promise<{ readonly stored: StoreEntry } | Extract<Result<'models.uploadBegin'>, { state: 'partial' }>> {
    const stored = await this.#store.find(params.digest);
    if (stored !== undefined) {
      if (!stored.names.includes(params.name)) await this.#store.name(params.digest, params.name);
      return { stored: (await this.#store.find(params.digest)) ?? stored };
    }
    const upload = await this.#open(params);
    const id = this.#nextId++;
    this.#uploads.set(id, { upload, name: params.name });
    if (this.#closed) await this.close();
    return { state: 'partial', upload: id, have: upload.have };
  }

  async #open({ digest, bytes, chunkDigests }: Params<'models.uploadBegin'>): Promise<Upload> {
    const open = this.#uploads.size + this.#opening;
    if (open >= MAX_UPLOADS)
      throw new PynqLlmError('PROTOCOL_TOO_MANY_REQUESTS', `${open} uploads are open in this session.`, {
        remedy: 'Commit or abort an upload before beginning another.',
      });
    this.#opening++;
    try {
      return await this.#store.begin({
        digest,
        byteLength: bytes,
        chunkDigests: new Uint8Array(chunkDigests),
      });
    } finally {
      this.#opening--;
    }
  }

  async writeChunk({
    upload,
    index,
    data,
  }: Params<'models.uploadChunk'>): Promise<Result<'models.uploadChunk'>> {
    await this.#find(upload).upload.writeChunk(index, data);
    return {};
  }

  async commit({ upload: id }: Params<'models.uploadCommit'>): Promise<StoreEntry> {
    const { upload, name } = this.#find(id);
    await this.#store.publish(upload, name);
    await this.#release(id);
    const stored = await this.#store.find(upload.plan.digest);
    if (stored === undefined)
      throw new PynqLlmError('AGENT_STORE_FAILED', 'A published model is not in the store.');
    return stored;
  }

  /** Gives up an upload and what was received of it. */
  async abort({ upload: id }: Params<'models.uploadAbort'>): Promise<Result<'models.uploadAbort'>> {
    const { upload } = this.#find(id);
    await this.#release(id);
    await this.#store.removePartial(upload.plan.digest);
    return {};
  }

  /** The session ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const id of [...this.#uploads.keys()]) await this.#release(id);
  }

  #find(id: number) {
    const found = this.#uploads.get(id);
    if (found === undefined)
      throw new PynqLlmError('AGENT_UPLOAD_UNKNOWN', `This session has no upload ${id}.`, {
        context: { upload: id },
      });
    return found;
  }

  async #release(id: number): Promise<void> {
    const found = this.#uploads.get(id);
    this.#uploads.delete(id);
    if (found !== undefined) await this.#store.release(found.upload);
  }
}
