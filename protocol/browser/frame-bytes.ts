import type { FrameBytes } from '../frame-bytes.js';

const utf8 = new TextDecoder();

/** Stands in for Node's Buffer where there is none. */
class BrowserBytes extends Uint8Array {
  readonly #view = new DataView(this.buffer, this.byteOffset, this.byteLength);

  readUInt8 = (at = 0) => this.#view.getUint8(at);
  readUInt16BE = (at = 0) => this.#view.getUint16(at);
  readUInt32BE = (at = 0) => this.#view.getUint32(at);
  readInt8 = (at = 0) => this.#view.getInt8(at);
  readInt16BE = (at = 0) => this.#view.getInt16(at);
  readInt32BE = (at = 0) => this.#view.getInt32(at);
  readFloatBE = (at = 0) => this.#view.getFloat32(at);
  readDoubleBE = (at = 0) => this.#view.getFloat64(at);
  readBigUInt64BE = (at = 0) => this.#view.getBigUint64(at);
  readBigInt64BE = (at = 0) => this.#view.getBigInt64(at);

  override toString(_encoding?: 'utf8', start = 0, end = this.length): string {
    return utf8.decode(new Uint8Array(this.buffer, this.byteOffset + start, end - start));
  }

  /** Parts of a frame are plain bytes. */
  override subarray(start = 0, end = this.length): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer as ArrayBuffer, this.byteOffset + start, end - start);
  }
}

/** In browsers, in the place of ../frame-bytes.ts. */
export function frameBytes(frame: Uint8Array): FrameBytes {
  return new BrowserBytes(frame.buffer as ArrayBuffer, frame.byteOffset, frame.length) as FrameBytes;
}
