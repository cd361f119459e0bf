import type {
  BoardHealth,
  BoardInfo,
  Params,
  RegisterInfo,
  RegisterReference,
  RegisterValue,
} from '../protocol/index.js';
import type { CallOptions, Connection } from './connection.js';
import { CountersClient } from './counters-client.js';
import { DeviceClient } from './device-client.js';
import { ModelsClient } from './models-client.js';
import { RemoteBuffer } from './remote-buffer.js';
import { TraceClient } from './trace-client.js';

/** Registers of the board by name: `board.registers`. Nothing that is not in its tables can be touched. */
export interface RegistersClient {
  /** Every register that exists, with its fields and access. */
  list(): Promise<RegisterInfo[]>;
  /**
   * Reads registers in one round trip, in the order given.
   * @param registers names such as `dma0.MM2S_DMASR`, or window and byte offset
   * @throws PynqLlmError DRIVER_UNKNOWN_REGISTER, DRIVER_UNALIGNED_ADDRESS, DRIVER_ADDRESS_OUT_OF_RANGE, before any is read
   */
  read(registers: readonly RegisterReference[], options?: CallOptions): Promise<RegisterValue[]>;
  /**
   * Writes registers in one round trip, in the order given. Needs the role admin.
   * @throws PynqLlmError as read, DRIVER_REGISTER_READ_ONLY before any is written, PROTOCOL_ROLE_REQUIRED
   */
  write(writes: Params<'registers.write'>['writes'], options?: CallOptions): Promise<void>;
}

/** DMA memory of the board: `board.buffers`. Needs the role admin. */
export interface BuffersClient {
  /** @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, AGENT_BUFFER_QUOTA */
  allocate(byteLength: number, options?: { readonly align?: number }): Promise<RemoteBuffer>;
}

/** A board: real, or a mock of one. `await using` closes it. */
export class BoardClient implements AsyncDisposable {
  /** What the board and its agent are. */
  readonly info: BoardInfo;
  readonly registers: RegistersClient;
  readonly buffers: BuffersClient;
  readonly models: ModelsClient;
  readonly counters: CountersClient;
  readonly device: DeviceClient;
  readonly trace: TraceClient;
  readonly #connection: Connection;

  constructor(connection: Connection, info: BoardInfo) {
    this.#connection = connection;
    this.info = info;
    this.registers = {
      list: async () => (await connection.request('registers.list', {})).registers,
      read: async (registers, options) =>
        (await connection.request('registers.read', { registers: [...registers] }, options)).values,
      write: async (writes, options) => {
        await connection.request('registers.write', { writes: [...writes] }, options);
      },
    };
    this.buffers = {
      allocate: (byteLength, options = {}) => RemoteBuffer.allocate(connection, byteLength, options.align),
    };
    this.models = new ModelsClient(connection);
    this.counters = new CountersClient(connection);
    this.device = new DeviceClient(connection);
    this.trace = new TraceClient(connection);
  }

  /** What this session may do. */
  get role(): 'read' | 'infer' | 'admin' {
    return this.#connection.hello.role;
  }

  /** State of device, memory and store. Answers while the device is busy. */
  health(): Promise<BoardHealth> {
    return this.#connection.request('board.health', {});
  }

  /** Ends the connection; generations are cancelled after a while unless another client resumes them. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
