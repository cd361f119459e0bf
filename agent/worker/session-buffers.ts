import type { Board, DmaBuffer } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';

/** What one session may hold: DMA memory is for models first, and a board has little. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_BUFFERS = 64;

/** DMA buffers that sessions allocated: each is its session's own, and freed with it. */
export class SessionBuffers {
  readonly #board: Board;
  readonly #bySession = new Map<number, Map<number, DmaBuffer>>();
  #nextId = 1;

  constructor(board: Board) {
    this.#board = board;
  }

  get isEmpty(): boolean {
    return this.#bySession.size === 0;
  }

  readonly handlers: DeviceHandlers<MethodsOf<'buffers'>> = {
    // Throws AGENT_BUFFER_QUOTA, DRIVER_DMA_MEMORY_FULL.
    'buffers.allocate': ({ byteLength, align }, { session }) => {
      const mine = this.#bySession.get(session) ?? new Map<number, DmaBuffer>();
      const held = [...mine.values()].reduce((sum, buffer) => sum + buffer.byteLength, 0);
      if (mine.size >= MAX_BUFFERS || held + byteLength > MAX_BYTES)
        throw new PynqLlmError(
          'AGENT_BUFFER_QUOTA',
          `The session holds ${mine.size} buffers of ${held} bytes and asks for ${byteLength} more; it may hold ${MAX_BUFFERS} of ${MAX_BYTES} bytes.`,
          { context: { buffers: mine.size, heldBytes: held, byteLength, limit: MAX_BYTES } },
        );
      const buffer = this.#board.allocate(byteLength, align === undefined ? {} : { align });
      buffer.write(0, new Uint8Array(byteLength));
      // Nobody sees what was there before, the device neither.
      buffer.giveToDevice();
      const id = this.#nextId++;
      mine.set(id, buffer);
      this.#bySession.set(session, mine);
      return { buffer: id, physicalAddress: buffer.physicalAddress, byteLength };
    },

    'buffers.write': ({ buffer: id, offset, data }, { session }) => {
      const buffer = this.#range(session, id, offset, data.length);
      buffer.giveToCpu(offset, data.length);
      buffer.write(offset, data);
      buffer.giveToDevice(offset, data.length);
      return {};
    },

    'buffers.read': ({ buffer: id, offset, byteLength }, { session }) => {
      const buffer = this.#range(session, id, offset, byteLength);
      const data = new Uint8Array(byteLength);
      buffer.giveToCpu(offset, byteLength);
      buffer.read(offset, data);
      buffer.giveToDevice(offset, byteLength);
      return { data };
    },

    'buffers.free': ({ buffer: id }, { session }) => {
      this.#range(session, id, 0, 0).free();
      const mine = this.#bySession.get(session);
      mine?.delete(id);
      if (mine?.size === 0) this.#bySession.delete(session);
      return {};
    },
  };

  endSession(session: number): void {
    for (const buffer of this.#bySession.get(session)?.values() ?? []) buffer.free();
    this.#bySession.delete(session);
  }

  #range(session: number, id: number, offset: number, length: number): DmaBuffer {
    const buffer = this.#bySession.get(session)?.get(id);
    if (buffer === undefined)
      throw new PynqLlmError('AGENT_BUFFER_UNKNOWN', `This session has no buffer ${id}.`, {
        context: { buffer: id },
      });
    if (offset + length > buffer.byteLength)
      throw new PynqLlmError(
        'AGENT_BUFFER_RANGE',
        `Bytes ${offset} to ${offset + length} are not within the ${buffer.byteLength} of buffer ${id}.`,
        { context: { buffer: id, offset, length, byteLength: buffer.byteLength } },
      );
    return buffer;
  }
}
