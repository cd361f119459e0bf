import type { Admission } from '../../access/index.js';
import type { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import {
  type Call,
  type Clock,
  type FramePort,
  HEARTBEAT_MS,
  PROTOCOL_VERSION,
  ServerSession,
} from '../../protocol/index.js';
import type { ModelStore } from '../store/model-store.js';
import type { HandledSession } from './handlers.js';
import { SessionUploads } from './session-uploads.js';
import { UploadBodies } from './upload-bodies.js';
import { AGENT_VERSION } from './version.js';

export interface SessionsOptions {
  /** Where uploads go. */
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Log;
  /** What clients are told can be asked for. */
  readonly capabilities: readonly string[];
  /** What answers a session's requests. */
  readonly handlerOf: (session: HandledSession) => (call: Call) => unknown;
  /** Where the bytes of uploads come in; its own unless given. */
  readonly uploadBodies?: UploadBodies;
  /** Told the number of a session that has ended. */
  readonly onEnd?: (session: number) => void;
}

/** The clients that are connected, whatever answers them. */
export class Sessions {
  readonly uploadBodies: UploadBodies;
  readonly #options: SessionsOptions;
  readonly #sessions = new Set<ServerSession>();
  readonly #all = { inFlightBytes: 0 };
  #next = 1;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.uploadBodies = options.uploadBodies ?? new UploadBodies();
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** As SessionHost.openSession. */
  open(port: FramePort, admit: (token: string | undefined) => Admission): ServerSession {
    const { store, clock, log, capabilities, handlerOf, onEnd } = this.#options;
    const number = this.#next++;
    let share: readonly string[] = [];
    let tokenName: string | undefined;
    const uploads = new SessionUploads(store, this.uploadBodies, () => tokenName);
    const session = new ServerSession({
      port,
      clock,
      all: this.#all,
      internalCode: 'AGENT_INTERNAL',
      onInternalError: (error, method) => log.error({ err: error, method }, 'unexpected error'),
      onClose: () => {
        if (!this.#sessions.delete(session)) return;
        onEnd?.(number);
        uploads.close().catch((error: unknown) => log.error({ err: error }, 'an upload could not be closed'));
      },
      hello: (params) => {
        const admission = admit(params.token);
        const { role } = admission;
        ({ share, tokenName } = admission);
        const facts = { session: number, client: params.client, role, share: share.join(' / ') };
        log.info(facts, 'session opened');
        return {
          protocol: PROTOCOL_VERSION,
          agent: AGENT_VERSION,
          capabilities: [...capabilities],
          role,
          heartbeatMs: HEARTBEAT_MS,
        };
      },
      handle: handlerOf({ number, share: () => share, uploads }),
    });
    this.#sessions.add(session);
    return session;
  }

  /** Ends all of them and tells their clients why. */
  end(reason: PynqLlmError): void {
    for (const session of [...this.#sessions]) session.fail(reason);
  }
}
