import {
  clientPath,
  type GenerationRegistry,
  type HandledSession,
  type Handler,
  type ModelStore,
  modelHandlers,
  withProgress,
} from '../../agent/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Call, MethodName, Result } from '../../protocol/index.js';
import type { Calls } from './calls.js';
import type { ClientRequests } from './client-requests.js';
import type { FleetModels } from './fleet-models.js';
import type { FleetReports } from './fleet-reports.js';
import type { Operations } from './operations.js';

/** What only a board's own agent does. */
const BOARD_ONLY = [
  'registers.list',
  'registers.read',
  'registers.write',
  'buffers.allocate',
  'buffers.write',
  'buffers.read',
  'buffers.free',
  'models.pin',
  'models.unpin',
  'models.pages',
  'counters.read',
  'counters.reset',
  'counters.setTargets',
  'counters.subscribe',
  'device.listChecks',
  'device.addFile',
  'device.runCheck',
  'device.matMul',
  'trace.start',
  'trace.stop',
  'trace.read',
  'trace.write',
  'trace.replay',
] as const satisfies readonly MethodName[];
type BoardOnly = (typeof BOARD_ONLY)[number];
/** Answered by the protocol itself. */
type AnsweredBySession = 'hello' | 'stream.close';

type Handlers = { readonly [M in Exclude<MethodName, AnsweredBySession | BoardOnly>]: Handler<M> };

/** What the requests of every session are answered with. */
export interface HandledGateway {
  readonly store: Pick<ModelStore, 'list' | 'search'>;
  readonly models: FleetModels;
  readonly calls: Calls;
  readonly generations: GenerationRegistry;
  readonly operations: Operations;
  readonly requests: ClientRequests;
  readonly reports: FleetReports;
}

/** What answers one session's requests. */
export function createHandler(gateway: HandledGateway, session: HandledSession): (call: Call) => unknown {
  const handlers = createHandlers(gateway, session);
  return (call) => {
    if (BOARD_ONLY.some((method) => method === call.method))
      throw new PynqLlmError('FLEET_NOT_SERVED', `A fleet has no ${call.method}: that is one board's.`, {
        context: { method: call.method },
      });
    // The table has the handler of each other method under its name.
    const handler = handlers[call.method as keyof Handlers] as Handler<MethodName>;
    return handler(call);
  };
}

function createHandlers(gateway: HandledGateway, { number, share, uploads }: HandledSession): Handlers {
  const { models, calls, generations } = gateway;
  const requireIdle = (digest: string, action: string): void => {
    if (generations.usesModel(digest))
      throw new PynqLlmError('AGENT_MODEL_BUSY', `Model ${digest} cannot be ${action} now.`, {
        context: { model: digest },
      });
  };
  const askLoaded = <
    M extends 'models.tokenize' | 'models.detokenize' | 'models.pieces' | 'models.applyTemplate',
  >({
    method,
    params,
  }: Call<M>): Promise<Result<M>> => {
    models.requireLoaded(params.model);
    return calls.askAny(params.model, method, params);
  };

  const common = modelHandlers(gateway, uploads);

  return {
    'board.info': () => gateway.reports.info(),
    'board.health': () => gateway.reports.health(),
    'fleet.status': () => gateway.reports.status(),
    'fleet.advise': ({ params }) => gateway.reports.advice(params),
    'fleet.drain': ({ params }) => gateway.operations.drain(params),
    'fleet.verify': () => gateway.operations.verify(),

    ...common,
    'generate.resume': (call) => {
      try {
        return common['generate.resume'](call);
      } catch (error) {
        throw isPynqLlmError(error, 'AGENT_GENERATION_UNKNOWN')
          ? unknownHere(call.params.generation, error)
          : error;
      }
    },
    // What no board alone could load several may: how it is cut is found out when it is loaded.
    'models.plan': ({ params }) =>
      calls.askAny(undefined, 'models.plan', { ...params, refuse: params.refuse && !models.areCut }),
    'models.check': async ({ params }) => {
      const { digest } = await models.find(params.model);
      const loaded = models.stateOf(digest) === 'loaded' ? digest : undefined;
      return calls.askAny(loaded, 'models.check', params, CHECK_MS);
    },
    'models.load': (call) =>
      withProgress(call.stream(), (onProgress) => models.load(call.params, onProgress)),
    'models.unload': async ({ params }) => {
      models.requireLoaded(params.model);
      requireIdle(params.model, 'unloaded');
      await models.unload(params.model);
      return {};
    },
    'models.delete': async ({ params }) => {
      await models.find(params.model);
      requireIdle(params.model, 'deleted');
      await models.delete(params.model);
      return {};
    },
    'models.tokenize': askLoaded,
    'models.detokenize': askLoaded,
    'models.pieces': askLoaded,
    'models.applyTemplate': askLoaded,

    'generate.start': (call) =>
      gateway.requests.generate(call.params, clientPath(share(), number, call.params.service), call.stream()),
    'generate.progress': ({ params }) => gateway.requests.progress(params.generation),
    score: (call) =>
      withProgress(call.stream(), () => {
        models.requireLoaded(call.params.model);
        return calls.askAny(call.params.model, 'score', call.params, SCORE_MS);
      }),

    'metrics.read': () => gateway.reports.metrics(),
  };
}

/** As long as a question on the bus may take. */
const SCORE_MS = 600_000;
/** A board fetches the model first, where it has it not. */
const CHECK_MS = 600_000;

function unknownHere(generation: string, cause: PynqLlmError): PynqLlmError {
  const what = `The gateway that leads knows no generation ${generation}: it ended, nobody asked for it in time, or it was older than the fleet's log when this gateway took over.`;
  return new PynqLlmError('FLEET_GENERATION_UNKNOWN', what, { cause, context: { id: generation } });
}
