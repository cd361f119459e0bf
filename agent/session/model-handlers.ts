import { PynqLlmError } from '../../errors/index.js';
import type {
  Call,
  MethodName,
  OnProgress,
  Result,
  ServerStream,
  StoredModel,
} from '../../protocol/index.js';
import type { ModelStore, StoreEntry } from '../store/model-store.js';
import type { GenerationRegistry } from './generation-registry.js';
import type { SessionUploads } from './session-uploads.js';

export type Handler<M extends MethodName> = (call: Call<M>) => Result<M> | Promise<Result<M>>;

/** What an agent and a fleet's gateway answer alike. */
interface ModelHost {
  readonly store: Pick<ModelStore, 'list' | 'search'>;
  readonly models: {
    describe(entry: StoreEntry): StoredModel;
    find(digest: string): Promise<StoreEntry>;
  };
  readonly generations: GenerationRegistry;
}

/** Handlers of stored models, of uploads, and of generations that are there already. */
export function modelHandlers({ store, models, generations }: ModelHost, uploads: SessionUploads) {
  return {
    'models.list': async ({ params }) => {
      const { models: entries, next } = await store.list(params);
      return { models: entries.map((one) => models.describe(one)), next };
    },
    'models.find': async ({ params }) => ({
      models: (await store.search(params.model)).map((one) => models.describe(one)),
    }),
    'models.get': async ({ params }) => models.describe(await models.find(params.model)),
    'models.uploadBegin': async ({ params }) => {
      const begun = await uploads.begin(params);
      return 'stored' in begun ? { state: 'complete', model: models.describe(begun.stored) } : begun;
    },
    'models.uploadHave': ({ params }) => uploads.have(params),
    'models.uploadCommit': async ({ params }) => models.describe(await uploads.commit(params)),
    'models.uploadAbort': ({ params }) => uploads.abort(params),
    'generate.resume': (call) => {
      generations.resume(call.params.generation, call.params.next, call.stream());
      return {};
    },
    'generate.cancel': ({ params }) => {
      generations.cancel(params.generation);
      return {};
    },
  } satisfies { readonly [M in MethodName]?: Handler<M> };
}

/** A model of the store. @throws PynqLlmError AGENT_MODEL_UNKNOWN */
export async function findModel(store: Pick<ModelStore, 'find'>, digest: string): Promise<StoreEntry> {
  const entry = await store.find(digest);
  if (entry !== undefined) return entry;
  throw new PynqLlmError('AGENT_MODEL_UNKNOWN', `There is no model ${digest} in the store.`, {
    context: { model: digest },
  });
}

/** Tells the client how far the work has come. */
export async function withProgress<R>(
  stream: ServerStream,
  work: (onProgress: OnProgress) => Promise<R>,
): Promise<R> {
  try {
    return await work((done, total, unit) => {
      if (stream.ready) stream.emit({ done, total, unit });
    });
  } finally {
    stream.end();
  }
}
