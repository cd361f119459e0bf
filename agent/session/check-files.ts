import { PynqLlmError } from '../../errors/index.js';
import { MAX_CHECK_BYTES, MAX_CHECK_FILES, type Params } from '../../protocol/index.js';

interface CheckFile {
  readonly name: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Vector files that came in pieces, for the next check of a session. */
export class CheckFiles {
  readonly #files = new Map<string, Uint8Array[]>();
  #bytes = 0;

  /** @throws PynqLlmError AGENT_CHECK_FILE where a piece does not follow the one before, or all are too large */
  add({ name, offset, data }: Params<'device.addFile'>): void {
    const pieces = this.#files.get(name) ?? [];
    const at = pieces.reduce((sum, { length }) => sum + length, 0);
    if (offset !== at)
      throw new PynqLlmError(
        'AGENT_CHECK_FILE',
        `A piece of ${name} is for byte ${offset}; ${at} are there.`,
        {
          context: { name, offset },
        },
      );
    if (pieces.length > 0 && data.length === 0) return;
    this.#bytes += data.length;
    if (this.#files.size >= MAX_CHECK_FILES && pieces.length === 0) {
      this.take();
      throw new PynqLlmError('AGENT_CHECK_FILE', `A check has more than ${MAX_CHECK_FILES} files.`, {
        context: { name, limit: MAX_CHECK_FILES },
      });
    }
    if (this.#bytes > MAX_CHECK_BYTES) {
      this.take();
      throw new PynqLlmError(
        'AGENT_CHECK_FILE',
        `The files of a check have more than ${MAX_CHECK_BYTES} bytes.`,
        { context: { name, limit: MAX_CHECK_BYTES } },
      );
    }
    // The memory of a frame is used again.
    this.#files.set(name, [...pieces, data.slice()]);
  }

  /** All that came, which is forgotten. */
  take(): CheckFile[] {
    const files = [...this.#files].map(([name, pieces]) => ({
      name,
      data: new Uint8Array(Buffer.concat(pieces)),
    }));
    this.#files.clear();
    this.#bytes = 0;
    return files;
  }
}
