import { z } from 'zod';
import { MAX_PIECE_BYTES, type TraceReplay } from '../protocol/index.js';
import { bytes, requireArguments } from './arguments.js';
import type { Connection } from './connection.js';

const REPLAY = z.object({ trace: bytes });

const REPLAY_MS = 30 * 60_000;

/** Records what crosses the Board seam: `board.trace`; docs/trace-format.md has the format. Needs the role admin. */
export class TraceClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Begins to record every register access and DMA transfer. @throws PynqLlmError AGENT_TRACE_STATE while a model is loaded */
  async start(): Promise<void> {
    await this.#connection.request('trace.start', {});
  }

  /** Ends the recording and fetches it: JSON lines. Unloads what was loaded meanwhile. */
  async stop(): Promise<Uint8Array> {
    const { bytes } = await this.#connection.request('trace.stop', {});
    const trace = new Uint8Array(bytes);
    for (let offset = 0; offset < bytes; ) {
      const byteLength = Math.min(MAX_PIECE_BYTES, bytes - offset);
      const { data } = await this.#connection.request('trace.read', { offset, byteLength });
      trace.set(data, offset);
      offset += data.length;
    }
    return trace;
  }

  /**
   * Does again what a trace holds and compares what the device answers.
   * @throws PynqLlmError DRIVER_BAD_TRACE, DRIVER_TRACE_MISMATCH, AGENT_TRACE_STATE while a model is loaded
   */
  async replay(trace: Uint8Array): Promise<TraceReplay> {
    requireArguments({ trace }, REPLAY);
    for (let offset = 0; offset < trace.length; offset += MAX_PIECE_BYTES)
      await this.#connection.request('trace.write', {
        offset,
        data: trace.subarray(offset, offset + MAX_PIECE_BYTES),
      });
    return this.#connection.request('trace.replay', {}, { timeoutMs: REPLAY_MS });
  }
}
