import { z } from 'zod';
import { MAX_PIECE_BYTES } from '../protocol/index.js';
import { bytes, requireArguments } from './arguments.js';
import type { Connection } from './connection.js';

const WRITE = z.object({ data: bytes, offset: z.int().min(0) });
const READ = z.object({ offset: z.int().min(0), byteLength: z.int().min(0) });

/**
 * DMA memory of the board that this client allocated. The board frees it with the connection: a buffer does not
 * survive a reconnection.
 */
export class RemoteBuffer implements AsyncDisposable {
  /** What a DMA engine is given. */
  readonly physicalAddress: number;
  /** Its length in bytes. */
  readonly byteLength: number;
  readonly #connection: Connection;
  readonly #id: number;
  #freed = false;

  private constructor(connection: Connection, id: number, physicalAddress: number, byteLength: number) {
    this.#connection = connection;
    this.#id = id;
    this.physicalAddress = physicalAddress;
    this.byteLength = byteLength;
  }

  /**
   * Allocates DMA memory, all zeros.
   * @param byteLength bytes @param align bytes; 64 unless given
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, AGENT_BUFFER_QUOTA, PROTOCOL_ROLE_REQUIRED
   */
  static async allocate(connection: Connection, byteLength: number, align?: number): Promise<RemoteBuffer> {
    const params = { byteLength, ...(align === undefined ? {} : { align }) };
    const { buffer, physicalAddress } = await connection.request('buffers.allocate', params);
    return new RemoteBuffer(connection, buffer, physicalAddress, byteLength);
  }

  /** Writes bytes and hands the buffer to the device. @throws PynqLlmError AGENT_BUFFER_RANGE, AGENT_BUFFER_UNKNOWN */
  async write(data: Uint8Array, offset = 0): Promise<void> {
    requireArguments({ data, offset }, WRITE);
    for (let at = 0; at < data.length; at += MAX_PIECE_BYTES)
      await this.#connection.request('buffers.write', {
        buffer: this.#id,
        offset: offset + at,
        data: data.subarray(at, at + MAX_PIECE_BYTES),
      });
  }

  /** Takes the buffer back from the device and reads bytes. @throws PynqLlmError AGENT_BUFFER_RANGE, AGENT_BUFFER_UNKNOWN */
  async read(offset = 0, byteLength: number = this.byteLength - offset): Promise<Uint8Array> {
    requireArguments({ offset, byteLength }, READ);
    const all = new Uint8Array(byteLength);
    for (let at = 0; at < byteLength; at += MAX_PIECE_BYTES) {
      const { data } = await this.#connection.request('buffers.read', {
        buffer: this.#id,
        offset: offset + at,
        byteLength: Math.min(MAX_PIECE_BYTES, byteLength - at),
      });
      all.set(data, at);
    }
    return all;
  }

  /** Gives the memory back. Freeing twice does nothing. */
  async free(): Promise<void> {
    if (this.#freed) return;
    this.#freed = true;
    await this.#connection.request('buffers.free', { buffer: this.#id });
  }

  /** As free(), and quiet where the board freed it already, with the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.free().catch(() => {});
  }
}
