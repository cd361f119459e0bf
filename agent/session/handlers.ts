import { PynqLlmError } from '../../errors/index.js';
import {
  type BoardHealth,
  type BoardInfo,
  CAPABILITIES,
  type Call,
  type MethodName,
  PROTOCOL_VERSION,
  type ServiceOptions,
} from '../../protocol/index.js';
import type { ModelStore } from '../store/model-store.js';
import {
  type DeviceMethod,
  type DeviceParams,
  isDeviceMethod,
  isQueued,
  type ResolvedMethod,
} from '../worker-link/methods.js';
import { CheckFiles } from './check-files.js';
import { clientPath } from './client-path.js';
import type { DeviceHost } from './device-host.js';
import type { GenerationRegistry } from './generation-registry.js';
import { type Handler, modelHandlers, withProgress } from './model-handlers.js';
import type { Models } from './models.js';
import type { RegisterTables } from './register-tables.js';
import type { SessionUploads } from './session-uploads.js';
import type { StepSubscriptions } from './step-subscriptions.js';
import { AGENT_VERSION } from './version.js';

/** Answered by the protocol itself. */
type AnsweredBySession = 'hello' | 'stream.close';
/** What the device's worker answers needs a handler only where it is not handed over as it is. */
type Handlers = {
  readonly [M in Exclude<MethodName, AnsweredBySession | DeviceMethod> | ResolvedMethod]: Handler<M>;
} & { readonly [M in DeviceMethod]?: Handler<M> };

/** What the requests of every session are answered with. */
export interface HandledAgent {
  readonly deviceUrl: string;
  readonly uptimeMs: number;
  readonly device: Pick<DeviceHost, 'call' | 'readRegisters' | 'registers'>;
  readonly store: Pick<ModelStore, 'list' | 'search' | 'delete' | 'parts'>;
  readonly models: Models;
  readonly generations: GenerationRegistry;
  readonly steps: Pick<StepSubscriptions, 'add'>;
  description(): Promise<BoardInfo['description']>;
  registers(): Promise<RegisterTables>;
  health(): Promise<BoardHealth>;
  requireOpen(): void;
}

export interface HandledSession {
  /** Owner of what is allocated. */
  readonly number: number;
  /** Whose share of the board its requests use; known once its client said hello. */
  share(): readonly string[];
  readonly uploads: SessionUploads;
}

/** What answers one session's requests. */
export function createHandler(agent: HandledAgent, session: HandledSession): (call: Call) => unknown {
  const handlers = createHandlers(agent, session);
  return (call) => {
    // The table has the handler of each method under its name, and all others are the worker's.
    const handler = handlers[call.method as keyof Handlers] as Handler<MethodName> | undefined;
    if (handler !== undefined) return handler(call);
    if (!isDeviceMethod(call.method)) throw new Error(`nobody answers ${call.method}`);
    const params = isQueued(call.method) ? withClient(session, call.params as object) : call.params;
    return agent.device.call(session.number, call.method, params as DeviceParams<DeviceMethod>);
  };
}

/** A request for the engine, with whose it is. */
function withClient<P extends { readonly service?: ServiceOptions | undefined }>(
  { number, share }: HandledSession,
  params: P,
): P & { readonly client: readonly string[] } {
  return { ...params, client: clientPath(share(), number, params.service) };
}

function createHandlers(agent: HandledAgent, handled: HandledSession): Handlers {
  const { device, store, models, generations } = agent;
  const { number: session, uploads } = handled;
  const checkFiles = new CheckFiles();
  const notAFleet = (): never => {
    throw new PynqLlmError('FLEET_NOT_A_FLEET', `${agent.deviceUrl} is one board.`);
  };
  const requireIdle = (digest: string, action: string): void => {
    if (generations.usesModel(digest) || models.stateOf(digest) === 'loading')
      throw new PynqLlmError('AGENT_MODEL_BUSY', `Model ${digest} cannot be ${action} now.`, {
        context: { model: digest },
      });
  };

  return {
    'board.info': async () => ({
      device: agent.deviceUrl,
      description: await agent.description(),
      agent: AGENT_VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      protocol: PROTOCOL_VERSION,
      capabilities: [...CAPABILITIES],
      uptimeMs: agent.uptimeMs,
    }),
    'board.health': () => agent.health(),
    'fleet.status': notAFleet,
    'fleet.advise': notAFleet,
    'fleet.drain': notAFleet,
    'fleet.verify': notAFleet,

    'registers.list': async () => (await agent.registers()).list(),
    // Without a turn of the microtask queue once the device is open: the way of a register read is short.
    'registers.read': ({ params }) =>
      device.registers === undefined
        ? agent.registers().then((registers) => device.readRegisters(session, registers.placesToRead(params)))
        : device.readRegisters(session, device.registers.placesToRead(params)),
    'registers.write': async ({ params }) =>
      device.call(session, 'registers.write', (await agent.registers()).placesToWrite(params)),

    'buffers.write': ({ params }) => {
      // The frame's bytes are a view of a larger memory, all of which would be cloned.
      const data = new Uint8Array(params.data);
      return device.call(session, 'buffers.write', { ...params, data }, { transfer: [data.buffer] });
    },

    ...modelHandlers(agent, uploads),
    'models.check': async ({ params }) => {
      await models.find(params.model);
      return models.check(session, params);
    },
    'models.load': async (call) => {
      const { params } = call;
      await models.find(params.model);
      return withProgress(call.stream(), (onProgress) => models.load(session, params, onProgress));
    },
    'models.unload': async ({ params }) => {
      requireIdle(params.model, 'unloaded');
      await models.unload(session, params);
      return {};
    },
    'models.delete': async ({ params }) => {
      // Of a model that is cut over boards there are some layers, and no file that could be listed.
      if (!(await store.parts.digests()).includes(params.model)) await models.find(params.model);
      requireIdle(params.model, 'deleted');
      if (models.stateOf(params.model) === 'loaded') await models.unload(session, params);
      await store.delete(params.model);
      return {};
    },
    'models.pin': (call) =>
      withProgress(call.stream(), async (onProgress) => {
        agent.requireOpen();
        return device.call(session, 'models.pin', withClient(handled, call.params), { onProgress });
      }),

    'generate.start': async (call) => {
      agent.requireOpen();
      const { generation, model, window, continueFrom = [], service } = call.params;
      const stream = call.stream();
      generations.add(generation, model, window, stream, continueFrom.length, service);
      try {
        return await device.call(session, 'generate.start', withClient(handled, call.params));
      } catch (error) {
        generations.refuse(generation, stream, error);
        throw error;
      }
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
        device.call(session, 'score', withClient(handled, call.params), { onProgress, signal }),
      );
    },

    'counters.subscribe': (call) => {
      agent.steps.add(call.stream());
      return {};
    },

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

    'device.matMul': ({ params }) => {
      const weights = new Uint8Array(params.weights);
      const inputs = new Uint8Array(params.inputs);
      const transfer = [weights.buffer, inputs.buffer];
      return device.call(session, 'device.matMul', { ...params, weights, inputs }, { transfer });
    },

    'trace.stop': async ({ params }) => models.stopTrace(session, params),
    'trace.write': ({ params }) => {
      const data = new Uint8Array(params.data);
      return device.call(session, 'trace.write', { ...params, data }, { transfer: [data.buffer] });
    },
  };
}
