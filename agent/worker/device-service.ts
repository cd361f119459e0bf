import { rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Board, RegisterWindow } from '../../board/index.js';
import { Accelerator, recordBoard, replayTrace, type WorkingPlan } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { MethodName, Result } from '../../protocol/index.js';
import type { DeviceCall, DmaMemory, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceMethod } from '../worker-link/methods.js';
import type { RegisterPlace } from '../worker-link/register-mailbox.js';
import { checkHandlers } from './check-handlers.js';
import { counterHandlers } from './counters.js';
import type { Answer, DeviceHandlers } from './handlers.js';
import { LoadedModels, type ModelEvents, type ModelSetup } from './loaded-models.js';
import { SessionBuffers } from './session-buffers.js';
import { TraceFiles } from './trace-files.js';

interface ServiceSetup
  extends Pick<WorkerSetup, 'scratch'>,
    Omit<ModelSetup, 'useWorking'>,
    Partial<Pick<WorkerSetup, 'checkCycles'>> {
  /** Told after each tile that the device has computed: a step may take minutes, and is no hang. */
  readonly onTile?: (() => void) | undefined;
}

/** Everything that the worker does with the device: synchronous, one call after the other, between steps. */
export class DeviceService {
  readonly models: LoadedModels;
  readonly #rawBoard: Board;
  readonly #buffers: SessionBuffers;
  readonly #traces: TraceFiles;
  readonly #scratch: string;
  readonly #checkCycles: boolean;
  readonly #onTile: (() => void) | undefined;
  readonly #handlers: DeviceHandlers;
  #accelerator: Accelerator;
  /** The driver's buffers, where they are not as large as any model needs them. */
  #working: WorkingPlan | undefined;

  /** @param now milliseconds, by which work on texts is cut into slices */
  constructor(board: Board, setup: ServiceSetup, events: ModelEvents, now?: () => number) {
    const { scratch, checkCycles = false } = setup;
    this.#checkCycles = checkCycles;
    this.#rawBoard = board;
    this.#scratch = scratch;
    this.#onTile = setup.onTile;
    this.#accelerator = this.#newAccelerator(board);
    this.#buffers = new SessionBuffers(board);
    this.#traces = new TraceFiles(scratch);
    const models = { ...setup, useWorking: (plan: WorkingPlan | undefined) => this.#useWorking(plan) };
    this.models = new LoadedModels(() => this.#accelerator, models, events, now);
    this.#handlers = this.#createHandlers();
  }

  get description(): Board['description'] {
    return this.#rawBoard.description;
  }

  get dmaMemory(): DmaMemory {
    return this.#rawBoard.dmaMemory();
  }

  get traffic(): Accelerator['traffic'] {
    return this.#accelerator.traffic;
  }

  /** Answers a call. @throws PynqLlmError */
  answer<M extends DeviceMethod>(call: DeviceCall<M>): Answer<M> {
    // The table has the handler of each method under its name.
    const handler = this.#handlers[call.method] as DeviceHandlers<M>[M];
    return handler(call.params, call);
  }

  /** Reads a register whose place was found in the board's tables. */
  readRegister({ window, offset }: RegisterPlace): number {
    return this.#window(window).read32(offset);
  }

  endSession(session: number): void {
    this.#buffers.endSession(session);
    this.models.endSession(session);
  }

  close(): void {
    this.models.close();
    this.#accelerator.close();
    this.#rawBoard.close();
    this.#traces.clear();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  #createHandlers(): DeviceHandlers {
    const accelerator = () => this.#accelerator;
    return {
      'registers.read': (places) => ({ values: places.map((place) => this.readRegister(place)) }),
      'registers.write': (writes) => {
        for (const { window, offset, value } of writes) this.#window(window).write32(offset, value);
        return {};
      },

      ...this.#buffers.handlers,
      ...this.models.handlers,
      ...counterHandlers(accelerator),
      ...checkHandlers(accelerator),

      'trace.start': () => this.#startTrace(),
      'trace.stop': () => this.#stopTrace(),
      'trace.read': ({ offset, byteLength }) => ({ data: this.#traces.read(offset, byteLength) }),
      'trace.write': ({ offset, data }) => {
        this.#traces.write(offset, data);
        return {};
      },
      'trace.replay': () => this.#replayTrace(),
    };
  }

  #window(index: number): RegisterWindow {
    return this.#accelerator.board.window(Object.keys(this.description.windows)[index]);
  }

  #startTrace(): Result<'trace.start'> {
    if (this.#traces.isRecording)
      throw new PynqLlmError('AGENT_TRACE_STATE', 'A trace is being recorded already.');
    this.#requireFree('trace.start');
    this.#traces.start();
    this.#useBoard(recordBoard(this.#rawBoard, (line) => this.#traces.add(line)));
    return {};
  }

  #stopTrace(): Result<'trace.stop'> {
    if (!this.#traces.isRecording) throw new PynqLlmError('AGENT_TRACE_STATE', 'No trace is being recorded.');
    this.models.unloadAll();
    this.#accelerator.close();
    try {
      return { bytes: this.#traces.stop() };
    } finally {
      this.#useBoard(this.#rawBoard);
    }
  }

  #replayTrace(): Result<'trace.replay'> {
    this.#requireFree('trace.replay');
    const lines = this.#traces.replayLines();
    this.#accelerator.close();
    try {
      const { events, difference } = replayTrace(lines, this.#rawBoard);
      return { events, ...(difference === undefined ? {} : { difference }) };
    } finally {
      this.#rawBoard.resetLogic();
      this.#useBoard(this.#rawBoard);
    }
  }

  #useWorking(plan: WorkingPlan | undefined): WorkingPlan | undefined {
    if (this.models.count > 0 || isDeepStrictEqual(plan, this.#working)) return this.#working;
    const before = this.#working;
    this.#working = plan;
    try {
      this.#useBoard(this.#accelerator.board);
    } catch (error) {
      // Others hold the memory that it would take: the buffers that were there still fit.
      this.#working = before;
      this.#useBoard(this.#accelerator.board);
      throw error;
    }
    return plan;
  }

  #useBoard(board: Board): void {
    this.#accelerator.close();
    this.#accelerator = this.#newAccelerator(board);
  }

  #newAccelerator(board: Board): Accelerator {
    const accelerator = new Accelerator(board, { checkCycles: this.#checkCycles, plan: this.#working });
    accelerator.onTile = this.#onTile;
    return accelerator;
  }

  /** For what takes the whole device: nothing may be loaded on it. */
  #requireFree(method: MethodName): void {
    if (this.models.count > 0)
      throw new PynqLlmError('AGENT_MODEL_BUSY', `${method} needs the whole device, and a model is loaded.`, {
        remedy: 'Unload the model first.',
      });
  }
}
