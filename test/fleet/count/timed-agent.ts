import { GenerationRegistry } from '../../../agent/session/generation-registry.js';
import type { SessionHost } from '../../../agent/session/session-host.js';
import {
  type Call,
  type FramePort,
  HEARTBEAT_MS,
  PROTOCOL_VERSION,
  type Result,
  ServerSession,
  systemClock,
} from '../../../protocol/index.js';

/** What an agent said of its board and a model, which this one says too. */
export interface Said {
  readonly 'board.info': Result<'board.info'>;
  readonly 'models.find': Result<'models.find'>;
  readonly 'models.load': Result<'models.load'>;
}

/** An agent's sessions and generations, as the agent has them, whose tokens come by the clock: what its main thread does with them is counted. */
export class TimedAgent {
  readonly #registry = new GenerationRegistry(systemClock, () => ({ grant: () => {}, cancel: () => {} }));
  readonly #all = { inFlightBytes: 0 };
  readonly #said: Said;

  constructor(said: Said) {
    this.#said = said;
  }

  openSession(port: FramePort): ServerSession {
    return new ServerSession({
      port,
      clock: systemClock,
      hello: () => ({
        protocol: PROTOCOL_VERSION,
        agent: 'counted',
        capabilities: [],
        role: 'admin',
        heartbeatMs: HEARTBEAT_MS,
      }),
      handle: (call) => this.#answer(call),
      internalCode: 'AGENT_INTERNAL',
      onInternalError: (error) => console.error(error),
      all: this.#all,
      onClose: () => {},
    });
  }

  /** For `serveHost` and `connectInProcess`: nothing is uploaded. */
  get host(): SessionHost {
    const host = {
      openSession: (port: FramePort) => this.openSession(port),
      drain: async () => {},
      close: async () => {},
    };
    return { ...host, uploadBodies: undefined as never };
  }

  #answer(call: Call): unknown {
    if (call.method === 'generate.start') {
      const { generation, model, window, sampling } = call.params as Call<'generate.start'>['params'];
      this.#registry.add(generation, model, window, call.stream());
      this.#begin(generation, sampling.maxTokens!, sampling.seed!);
      return { promptTokens: 4 };
    }
    if (call.method === 'models.pages')
      return { index: '0123456789abcdef', version: 1, isWhole: true, added: [1, 2, 3], removed: [] };
    if (call.method === 'generate.cancel') return {};
    if (call.method in this.#said) return this.#said[call.method as keyof Said];
    throw new Error(`${call.method} is not counted`);
  }

  /** A token each so many milliseconds: nothing is computed for it. */
  #begin(generation: string, tokens: number, ms: number): void {
    let index = 0;
    const next = () => {
      const token = {
        type: 'token',
        index,
        id: 300 + index,
        text: ' word',
        logprob: -1.25 - index / 7,
      } as const;
      const error = { code: 'AGENT_INTERNAL', message: 'counted', context: {} };
      this.#registry.take(generation, index < tokens ? token : { type: 'failed', error });
      if (index++ < tokens) setTimeout(next, ms);
    };
    setTimeout(next, ms);
  }
}
