import { connectInProcess } from '../../agent/in-process.js';
import {
  findModel,
  GenerationRegistry,
  type ModelStore,
  modelHandlers,
  type SessionHost,
  Sessions,
} from '../../agent/index.js';
import type { Bus } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Call, Clock } from '../../protocol/index.js';
import { fetchModel } from '../member/fetch-model.js';
import { MODELS } from '../subjects.js';

/** A gateway that cannot send a model now is asked again after so long. */
const AGAIN_MS = 5_000;

interface MirrorOptions {
  readonly bus: Bus;
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Has the store of a standby keep what boards are to have loaded, fetched from the gateway that leads as boards fetch it: once it leads
 * itself, boards that come fetch it from here. Resolves when the signal is aborted; never rejects.
 */
export async function mirrorModels(options: MirrorOptions, signal: AbortSignal): Promise<void> {
  const { bus, log, clock } = options;
  const host = storeHost(options);
  const agent = {
    connect: (events: Parameters<typeof connectInProcess>[1]) => connectInProcess(host, events),
  };
  const wanted = new Set<string>();
  let last: Promise<void> = Promise.resolve();
  const fetch = async (digest: string) => {
    while (wanted.has(digest) && !signal.aborted)
      try {
        await fetchModel(bus, agent, digest, () => {}, signal);
        return;
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err, model: digest }, 'a standby could not fetch a model of the fleet');
        await new Promise<void>((resolve) => {
          const stop = clock.after(AGAIN_MS, resolve);
          signal.addEventListener(
            'abort',
            () => {
              stop();
              resolve();
            },
            { once: true },
          );
        });
      }
  };
  try {
    for await (const event of bus.bucket(MODELS).watch({ signal })) {
      if (event.kind === 'deleted') wanted.delete(event.key);
      else if (event.kind === 'value' && !wanted.has(event.key)) {
        const { key } = event;
        wanted.add(key);
        last = last.then(() => fetch(key));
      }
    }
  } catch (err) {
    if (!signal.aborted) log.warn({ err }, 'a standby does not hear of the models of the fleet');
  }
  await last;
}

/** A store as something that uploads can be sent to, for this process alone. */
function storeHost({ store, clock, log }: MirrorOptions): Pick<SessionHost, 'openSession' | 'uploadBodies'> {
  const nobody = new GenerationRegistry(clock, () => ({ grant: () => {}, cancel: () => {} }));
  const models = {
    find: (digest: string) => findModel(store, digest),
    describe: ({ digest, names, bytes }: Awaited<ReturnType<typeof findModel>>) => ({
      digest,
      bytes,
      names: [...names],
      state: 'stored' as const,
    }),
  };
  const sessions = new Sessions({
    store,
    clock,
    log,
    capabilities: ['upload'],
    handlerOf: ({ uploads }) => {
      const handlers: Readonly<Record<string, ((call: never) => unknown) | undefined>> = modelHandlers(
        { store, models, generations: nobody },
        uploads,
      );
      return (call: Call) => {
        const handler = handlers[call.method];
        if (handler === undefined)
          throw new PynqLlmError('FLEET_NOT_SERVED', `A standby has no ${call.method}.`);
        return handler(call as never);
      };
    },
  });
  return { uploadBodies: sessions.uploadBodies, openSession: (port, admit) => sessions.open(port, admit) };
}
