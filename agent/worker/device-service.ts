import { rmSync } from 'node:fs';
import type { Board, RegisterWindow } from '../../board/index.js';
import {
  Accelerator,
  filesOf,
  listChecks,
  recordBoard,
  replayTrace,
  runCheck,
  selfTestCheck,
} from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { MethodName, Params, Result } from '../../protocol/index.js';
import type { DeviceCall, DmaMemory, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceMethod, DeviceParams, QueuedMethod } from '../worker-link/methods.js';
import type { RegisterPlace } from '../worker-link/register-lane.js';
import { readCounters, setCounterTargets } from './counters.js';
import { LoadedModels, type ModelEvents } from './loaded-models.js';
import { SessionBuffers } from './session-buffers.js';
import { TraceFiles } from './trace-files.js';

type Handlers = {
  readonly [M in DeviceMethod]: (params: DeviceParams<M>, call: DeviceCall<M>) => Answer<M>;
};
/** These are answered by an event, after some steps or slices of work. */
type Answer<M extends DeviceMethod> = M extends QueuedMethod ? undefined : Result<M>;

type ServiceSetup = Pick<WorkerSetup, 'scratch' | 'kv' | 'clientWeights'>;

/** Everything that the worker does with the device: synchronous, one call after the other, between steps. */
export class DeviceService {
  readonly models: LoadedModels;
  readonly #rawBoard: Board;
  readonly #buffers: SessionBuffers;
  readonly #traces: TraceFiles;
  readonly #scratch: string;
  readonly #handlers: Handlers;
  #accelerator: Accelerator;

  /** @param now milliseconds, by which work on texts is cut into slices */
  constructor(board: Board, setup: ServiceSetup, events: ModelEvents, now?: () => number) {
    const { scratch } = setup;
    this.#rawBoard = board;
    this.#scratch = scratch;
    this.#accelerator = new Accelerator(board);
    this.#buffers = new SessionBuffers(board);
    this.#traces = new TraceFiles(scratch);
    this.models = new LoadedModels(() => this.#accelerator, setup, events, now);
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
    const handler = this.#handlers[call.method] as (
      params: DeviceParams<M>,
      call: DeviceCall<M>,
    ) => Answer<M>;
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

  #createHandlers(): Handlers {
    const { models } = this;
    return {
      'registers.read': (places) => ({ values: places.map((place) => this.readRegister(place)) }),
      'registers.write': (writes) => {
        for (const { window, offset, value } of writes) this.#window(window).write32(offset, value);
        return {};
      },

      'buffers.allocate': (params, { session }) => this.#buffers.allocate(session, params),
      'buffers.write': (params, { session }) => this.#buffers.write(session, params),
      'buffers.read': (params, { session }) => this.#buffers.read(session, params),
      'buffers.free': (params, { session }) => this.#buffers.free(session, params),

      'models.plan': (params) => models.plan(params),
      'models.load': (params, { id }) => models.load(params, id),
      'models.unload': (params) => models.unload(params),
      'models.tokenize': (params, call) => models.tokenize(params, call),
      'models.detokenize': (params, call) => models.detokenize(params, call),
      'models.pieces': (params, call) => models.pieces(params, call),
      'models.applyTemplate': (params, call) => models.applyTemplate(params, call),
      'models.pin': (params, call) => models.pin(params, call),
      'models.unpin': (params, { session }) => models.unpin(params, session),
      'generate.start': (params, call) => models.generate(params, call),
      'generate.progress': (params) => models.progress(params),
      score: (params, call) => models.score(params, call),

      'metrics.read': () => models.readMetrics(),

      'counters.read': () => readCounters(this.#accelerator),
      'counters.reset': () => {
        this.#accelerator.counters.reset();
        return {};
      },
      'counters.setTargets': (params) => setCounterTargets(this.#accelerator, params),

      'device.listChecks': (params) => this.#listChecks(params),
      'device.runCheck': (params) => this.#runCheck(params),

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

  #listChecks(params: Params<'device.listChecks'>): Result<'device.listChecks'> {
    const lists = Object.fromEntries(
      Object.entries(params)
        .filter(([, text]) => text !== undefined)
        .map(([name, text]) => [name, parseJson(`${name}.json`, text)]),
    );
    const checks = listChecks(lists, this.description.revision);
    return {
      checks: checks.map((check) => ({
        name: check.name,
        files: [...filesOf(check)],
        check: JSON.stringify(check),
      })),
    };
  }

  #runCheck(params: Params<'device.runCheck'>): Result<'device.runCheck'> {
    const parsed = selfTestCheck.safeParse(parseJson('check', params.check));
    if (!parsed.success)
      throw new PynqLlmError('DRIVER_BAD_VECTOR', `The check is not one: ${parsed.error.message}.`);
    const files = new Map(params.files.map(({ name, data }) => [name, data]));
    const result = runCheck(this.#accelerator, parsed.data, files);
    return { ...result, details: [...result.details] };
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

  #useBoard(board: Board): void {
    this.#accelerator.close();
    this.#accelerator = new Accelerator(board);
  }

  /** For what takes the whole device: nothing may be loaded on it. */
  #requireFree(method: MethodName): void {
    if (this.models.count > 0)
      throw new PynqLlmError('AGENT_MODEL_BUSY', `${method} needs the whole device, and a model is loaded.`, {
        remedy: 'Unload the model first.',
      });
  }
}

function parseJson(name: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch (cause) {
    throw new PynqLlmError('DRIVER_BAD_VECTOR', `${name} is not JSON.`, { cause });
  }
}
