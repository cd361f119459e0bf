import { PynqLlmError } from '../../errors/index.js';
import {
  CAPABILITIES,
  type Call,
  type MethodName,
  type OnProgress,
  type Params,
  PROTOCOL_VERSION,
  type Result,
  type ServerStream,
  type ServiceOptions,
  type StoredModel,
} from '../../protocol/index.js';
import type { StoreEntry } from '../store/model-store.js';
import type { TextMethod } from '../worker/text-queue.js';
import type { DeviceMethod, DeviceParams } from '../worker-link/messages.js';
import { CheckFiles } from './check-files.js';
import { clientPath } from './client-path.js';
import type { AgentCore } from './core.js';
import type { SessionUploads } from './session-uploads.js';
import { AGENT_VERSION } from './version.js';

/** Answered by the protocol itself. */
type AnsweredBySession = 'hello' | 'stream.close';
type Handlers = {
  readonly [M in Exclude<MethodName, AnsweredBySession>]: (call: Call<M>) => Result<M> | Promise<Result<M>>;
};

export interface HandledSession {
  /** Owner of what is allocated. */
  readonly number: number;
  /** Whose share of the board its requests use; known once its client said hello. */
  share(): readonly string[];
}

/** What answers one session's requests. */
export function createHandlers(
  core: AgentCore,
  { number: session, share }: HandledSession,
  uploads: SessionUploads,
): Handlers {
  const { device, store, generations } = core;
  /** A request for the engine, with whose it is. */
  const withClient = <P extends object>(params: P & { readonly service?: ServiceOptions | undefined }) => ({
    ...params,
    client: clientPath(share(), session, params.service),
  });

  /** Hands the request to the device's worker as it is. */
  const forward =
    <M extends DeviceMethod>() =>
    (call: Call<M>): Promise<Result<M>> =>
      device.call(session, call.method as M, call.params as DeviceParams<M>);

  const forwardWithClient =
    <M extends DeviceMethod & TextMethod>() =>
    (call: Call<M>): Promise<Result<M>> =>
      device.call(session, call.method as M, withClient(call.params as object) as DeviceParams<M>);

  const describe = (entry: StoreEntry): StoredModel => ({
    ...entry,
    names: [...entry.names],
    state: core.modelState(entry.digest),
  });
  const find = async (digest: string): Promise<StoreEntry> => {
    const entry = await store.find(digest);
    if (entry !== undefined) return entry;
    throw new PynqLlmError('AGENT_MODEL_UNKNOWN', `There is no model ${digest} in the store.`, {
      context: { model: digest },
    });
  };
  const checkFiles = new CheckFiles();
  /** Tells the client how far the work has come. */
  const withProgress = async <R>(
    stream: ServerStream,
    work: (onProgress: OnProgress) => Promise<R>,
  ): Promise<R> => {
    try {
      return await work((done, total, unit) => {
        if (stream.ready) stream.emit({ done, total, unit });
      });
    } finally {
      stream.end();
    }
  };
  const requireIdle = (digest: string, action: string): void => {
    if (generations.usesModel(digest) || core.modelState(digest) === 'loading')
      throw new PynqLlmError('AGENT_MODEL_BUSY', `Model ${digest} cannot be ${action} now.`, {
        context: { model: digest },
      });
  };

  return {
    'board.info': async () => ({
      device: core.deviceUrl,
      description: await core.description(),
      agent: AGENT_VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      protocol: PROTOCOL_VERSION,
      capabilities: [...CAPABILITIES],
      uptimeMs: core.uptimeMs,
    }),
    'board.health': () => core.health(),

    'registers.list': async () => (await core.registers()).list(),
    // Without a turn of the microtask queue once the device is open: the way of a register read is short.
    'registers.read': ({ params }) =>
      device.registers === undefined
        ? core.registers().then((registers) => device.readRegisters(session, registers.placesToRead(params)))
        : device.readRegisters(session, device.registers.placesToRead(params)),
    'registers.write': async ({ params }) =>
      device.call(session, 'registers.write', (await core.registers()).placesToWrite(params)),

    'buffers.allocate': forward(),
    'buffers.write': ({ params }) => {
      // The frame's bytes are a view of a larger memory, all of which would be cloned.
      const data = new Uint8Array(params.data);
      return device.call(session, 'buffers.write', { ...params, data }, { transfer: [data.buffer] });
    },
    'buffers.read': forward(),
    'buffers.free': forward(),

    'models.list': async ({ params }) => {
      const { models, next } = await store.list(params);
      return { models: models.map(describe), next };
    },
    'models.find': async ({ params }) => ({ models: (await store.search(params.model)).map(describe) }),
    'models.get': async ({ params }) => describe(await find(params.model)),
    'models.plan': forward(),
    'models.uploadBegin': async ({ params }) => {
      const begun = await uploads.begin(params);
      return 'stored' in begun ? { state: 'complete', model: describe(begun.stored) } : begun;
    },
    'models.uploadChunk': ({ params }) => uploads.writeChunk(params),
    'models.uploadCommit': async ({ params }) => describe(await uploads.commit(params)),
    'models.uploadAbort': ({ params }) => uploads.abort(params),
    'models.load': async (call) => {
      const { params } = call;
      await find(params.model);
      return withProgress(call.stream(), (onProgress) => core.loadModel(session, params, onProgress));
    },
    'models.unload': async ({ params }) => {
      requireIdle(params.model, 'unloaded');
      await core.unloadModel(session, params);
      return {};
    },
    'models.delete': async ({ params }) => {
      await find(params.model);
      requireIdle(params.model, 'deleted');
      if (core.modelState(params.model) === 'loaded') await core.unloadModel(session, params);
      await store.delete(params.model);
      return {};
    },
    'models.tokenize': forwardWithClient(),
    'models.detokenize': forwardWithClient(),
    'models.pieces': forwardWithClient(),
    'models.applyTemplate': forwardWithClient(),
    'models.pin': (call) =>
      withProgress(call.stream(), async (onProgress) => {
        core.requireOpen();
        return device.call(session, 'models.pin', withClient(call.params), { onProgress });
      }),
    'models.unpin': forward(),

    'generate.start': async (call) => {
      core.requireOpen();
      const { generation, model, window } = call.params;
      const stream = call.stream();
      generations.add(generation, model, window, stream);
      try {
        return await device.call(session, 'generate.start', withClient(call.params));
      } catch (error) {
        generations.refuse(generation, stream, error);
        throw error;
      }
    },
    'generate.resume': (call) => {
      generations.resume(call.params.generation, call.params.next, call.stream());
      return {};
    },
    'generate.progress': forward(),
    'generate.cancel': ({ params }: { params: Params<'generate.cancel'> }) => {
      generations.cancel(params.generation);
      return {};
    },
    score: (call) => {
      const stream = call.stream();
      const gone = new AbortController();
      stream.listen(
        () => {},
        () => gone.abort(),
      );
      const { signal } = gone;
      return withProgress(stream, (onProgress) =>
        device.call(session, 'score', withClient(call.params), { onProgress, signal }),
      );
    },

    'metrics.read': forward(),

    'counters.read': forward(),
    'counters.reset': forward(),
    'counters.setTargets': forward(),
    'counters.subscribe': (call) => {
      core.steps.add(call.stream());
      return {};
    },

    'device.listChecks': forward(),
    'device.addFile': ({ params }) => {
      checkFiles.add(params);
      return {};
    },
    'device.runCheck': ({ params }) => {
      const small = params.files.map(({ name, data }) => ({ name, data: new Uint8Array(data) }));
      const files = [...small, ...checkFiles.take()];
      const transfer = files.map(({ data }) => data.buffer);
      return device.call(session, 'device.runCheck', { ...params, files }, { transfer });
    },

    'trace.start': forward(),
    'trace.stop': async ({ params }) => core.stopTrace(session, params),
    'trace.read': forward(),
    'trace.write': ({ params }) => {
      const data = new Uint8Array(params.data);
      return device.call(session, 'trace.write', { ...params, data }, { transfer: [data.buffer] });
    },
    'trace.replay': forward(),
  };
}
