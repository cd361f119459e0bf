import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import type {
  BoardHealth,
  BoardInfo,
  EngineMetricsReading,
  FleetAdvice,
  FleetStatus,
  FleetVerification,
} from '../protocol/index.js';
import { call, optionsOf, requireArguments } from './arguments.js';
import type { CallOptions, Connection } from './connection.js';
import { CountersClient } from './counters-client.js';
import { DeviceClient } from './device-client.js';
import { ModelsClient } from './models-client.js';
import { RegistersClient } from './registers-client.js';
import { RemoteBuffer } from './remote-buffer.js';
import { TraceClient } from './trace-client.js';

const ALLOCATE = z.object({ options: optionsOf({}) });
const HEALTH = z.object({ options: call });

const DRAIN = z.object({ name: z.string(), options: optionsOf({ undo: z.boolean().optional() }) });
/** Longer than boards may take to check themselves. */
const VERIFY_MS = 660_000;

/** How a board of a fleet is drained. */
export interface FleetDrainOptions {
  /** Whether it takes requests again. */
  readonly undo?: boolean | undefined;
}

/** How DMA memory is allocated. */
export interface BufferOptions {
  /** The address is a multiple of so many bytes, 4 to 1,048,576; 64 unless given. */
  readonly align?: number | undefined;
}

/** DMA memory of the board: `board.buffers`. Needs the role admin. */
export interface BuffersClient {
  /** Allocates bytes, all zeros, until they are freed or the connection ends. @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, AGENT_BUFFER_QUOTA */
  allocate(byteLength: number, options?: BufferOptions): Promise<RemoteBuffer>;
}

/** A board: real, or a mock of one. `await using` closes it. */
export class BoardClient implements AsyncDisposable {
  /** Its registers, by name. */
  readonly registers: RegistersClient;
  /** Its DMA memory. */
  readonly buffers: BuffersClient;
  /** The models that it stores. */
  readonly models: ModelsClient;
  /** What it counts. */
  readonly counters: CountersClient;
  /** Direct work with its core. */
  readonly device: DeviceClient;
  /** Traces of what crosses the Board seam. */
  readonly trace: TraceClient;
  readonly #connection: Connection;
  readonly #info: BoardInfo | PynqLlmError;

  /** @param info or why nobody could say it */
  constructor(connection: Connection, info: BoardInfo | PynqLlmError) {
    this.#connection = connection;
    this.#info = info;
    this.registers = new RegistersClient(connection);
    this.buffers = {
      allocate: async (byteLength, options = {}) => {
        requireArguments({ options }, ALLOCATE);
        return RemoteBuffer.allocate(connection, byteLength, options.align);
      },
    };
    this.models = new ModelsClient(connection);
    this.counters = new CountersClient(connection);
    this.device = new DeviceClient(connection);
    this.trace = new TraceClient(connection);
  }

  /** What the board and its agent are. @throws PynqLlmError FLEET_NO_BOARDS of a fleet that was connected to `withoutBoards` while it had none */
  get info(): BoardInfo {
    if (this.#info instanceof PynqLlmError) throw this.#info;
    return this.#info;
  }

  /** What this session may do. */
  get role(): 'read' | 'infer' | 'admin' {
    return this.#connection.hello.role;
  }

  /** Whether there is a connection now; a request made without one waits until it is there again. */
  get isConnected(): boolean {
    return this.#connection.isOpen;
  }

  /** Resolves with the reason when the connection is lost and not tried any more; never where `close` ended it. */
  get lost(): Promise<unknown> {
    return this.#connection.lost;
  }

  /** State of device, memory and store. Answers while the device is busy. */
  async health(options: CallOptions = {}): Promise<BoardHealth> {
    requireArguments({ options }, HEALTH);
    return this.#connection.request('board.health', {}, options);
  }

  /** How long requests waited and how full steps were, by class, since the device was opened. */
  metrics(): Promise<EngineMetricsReading> {
    return this.#connection.request('metrics.read', {});
  }

  /** The boards behind a fleet's gateway, and how they are. @throws PynqLlmError FLEET_NOT_A_FLEET where it is one board */
  fleetStatus(): Promise<FleetStatus> {
    return this.#connection.request('fleet.status', {});
  }

  /**
   * How many boards a fleet should have soon, by what its gateway has seen: see docs/fleet.md.
   * @throws PynqLlmError FLEET_HISTORY_SHORT in its first minute, FLEET_NOT_A_FLEET where it is one board
   */
  fleetAdvice(
    options: {
      /** Share of their time for which boards are to be busy, 0.05 to 1; 0.7 unless given. */
      readonly target?: number | undefined;
      /** How far ahead, in milliseconds: a minute to a day; an hour unless given. */
      readonly horizonMs?: number | undefined;
    } = {},
  ): Promise<FleetAdvice> {
    const { target, horizonMs } = options;
    return this.#connection.request('fleet.advise', { target, horizonMs });
  }

  /**
   * Has a board of a fleet take no more requests, or take them again; what it has it ends. That lasts until its agent is started
   * again. Needs the role admin.
   * @param name of the board in its fleet
   * @returns how many requests it still has
   * @throws PynqLlmError FLEET_BOARD_UNKNOWN, FLEET_NOT_A_FLEET, BUS_...
   */
  async fleetDrain(
    name: string,
    options: FleetDrainOptions = {},
  ): Promise<{
    /** Requests that it still has. */
    readonly inHand: number;
  }> {
    requireArguments({ name, options }, DRAIN);
    return this.#connection.request('fleet.drain', { board: name, undo: options.undo });
  }

  /**
   * Has every board of a fleet check itself, a short generation with each of its models included, and compares them. Takes minutes where
   * boards are busy. Needs the role infer.
   * @throws PynqLlmError FLEET_NOT_A_FLEET
   */
  async fleetVerify(options: CallOptions = {}): Promise<FleetVerification> {
    requireArguments({ options }, HEALTH);
    return this.#connection.request('fleet.verify', {}, { timeoutMs: VERIFY_MS, ...options });
  }

  /** Ends the connection; generations are cancelled after a while unless another client resumes them. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
