import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { PynqLlmError } from '../../errors/index.js';
import type { Params, Result, UploadRange } from '../../protocol/index.js';
import type { ModelStore, StoreEntry } from '../store/model-store.js';
import { receiveChunks, requireChunks } from '../store/receive-chunks.js';
import type { Upload } from '../store/upload.js';
import type { UploadBodies } from './upload-bodies.js';

/** Uploads that one session may have open: each keeps a file open. */
const MAX_UPLOADS = 4;
const ID_BYTES = 16;

interface OpenUpload {
  readonly upload: Upload;
  readonly name: string;
  /** What bytes come from now. */
  body: Readable | undefined;
  /** Settled when nothing of an earlier body is written any more. */
  written: Promise<void>;
}

/** The uploads of one session. What it received stays in the store when the session ends. */
export class SessionUploads {
  readonly #store: ModelStore;
  readonly #bodies: UploadBodies;
  readonly #tokenName: () => string | undefined;
  readonly #uploads = new Map<string, OpenUpload>();
  /** Uploads that are being opened: they count as open. */
  #opening = 0;
  #closed = false;

  /** @param tokenName of the session's token, known once its client said hello */
  constructor(store: ModelStore, bodies: UploadBodies, tokenName: () => string | undefined) {
    this.#store = store;
    this.#bodies = bodies;
    this.#tokenName = tokenName;
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
    const id = randomBytes(ID_BYTES).toString('hex');
    this.#uploads.set(id, { upload, name: params.name, body: undefined, written: Promise.resolve() });
    this.#bodies.add(id, {
      tokenName: this.#tokenName(),
      receive: (range, openBody) => this.#receive(id, range, openBody),
    });
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

  /** Which chunks are there. */
  have({ upload: id }: Params<'models.uploadHave'>): Result<'models.uploadHave'> {
    return { have: this.#find(id).upload.have };
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

  /**
   * One body at a time. The latest counts: its client knows of no other one any more, whatever became of the connection
   * that an earlier one came over.
   */
  async #receive(id: string, range: UploadRange, openBody: () => Readable): Promise<void> {
    const open = this.#find(id);
    requireChunks(open.upload, range);
    const body = openBody();
    // What ends it is told to who reads it, which may not have begun.
    body.on('error', () => undefined);
    const before = open.written;
    open.body?.destroy(ended('The client sends other bytes of the same upload'));
    open.body = body;
    const received = before.then(() => receiveChunks(open.upload, range, body));
    open.written = received.catch(() => undefined);
    await received;
  }

  #find(id: string): OpenUpload {
    const found = this.#uploads.get(id);
    if (found === undefined)
      throw new PynqLlmError('AGENT_UPLOAD_UNKNOWN', `This session has no upload ${id}.`, {
        context: { upload: id },
      });
    return found;
  }

  async #release(id: string): Promise<void> {
    const found = this.#uploads.get(id);
    this.#uploads.delete(id);
    this.#bodies.remove(id);
    if (found === undefined) return;
    found.body?.destroy(ended('The upload or its session ended'));
    await found.written;
    await this.#store.release(found.upload);
  }
}

function ended(why: string): PynqLlmError {
  return new PynqLlmError('AGENT_UPLOAD_ENDED', `${why}.`);
}
