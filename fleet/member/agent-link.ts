import type { Readable } from 'node:stream';
import type { AgentStages, InProcessAgent, InProcessEvents } from '../../agent/index.js';
import type { PynqLlmError } from '../../errors/index.js';
import {
  ClientSession,
  type MethodName,
  type Params,
  type Result,
  type StreamEvent,
  type StreamMethodName,
  systemClock,
  type UploadRange,
} from '../../protocol/index.js';

/** What an agent of the same process answers at once, or after other requests' steps. */
const ANSWER_MS = 120_000;

/** The agent of a member's board, in the same process. */
export interface MemberAgent {
  /** Opens a session with every right. */
  connect(events: InProcessEvents): InProcessAgent;
  /** Models of which it has some layers alone. */
  readonly stages: AgentStages;
}

/** A member's session to the agent of its board, in the same process. */
export class AgentLink {
  readonly #agent: InProcessAgent;
  readonly #session: ClientSession;
  /** Resolves with the reason when the agent has ended the session. */
  readonly lost: Promise<PynqLlmError>;
  /** A promise keeps who waits for it as long as it is there itself: requests are told by this set instead. */
  readonly #onLost = new Set<(reason: PynqLlmError) => void>();

  private constructor(agent: InProcessAgent, session: ClientSession, lost: Promise<PynqLlmError>) {
    this.#agent = agent;
    this.#session = session;
    this.lost = lost;
    void lost.then((reason) => {
      for (const tell of this.#onLost) tell(reason);
    });
  }

  /** @throws PynqLlmError PROTOCOL_..., AGENT_... */
  static async open(agent: Pick<MemberAgent, 'connect'>): Promise<AgentLink> {
    let send: (frame: Uint8Array) => void = () => {};
    let tell: (reason: PynqLlmError) => void = () => {};
    const lost = new Promise<PynqLlmError>((resolve) => {
      tell = resolve;
    });
    const session = new ClientSession({ send: (frame) => send(frame), clock: systemClock, onEnd: tell });
    const inProcess = agent.connect({
      onFrame: (frame) => session.receive(frame),
      onClose: (reason) => session.end(reason),
    });
    send = inProcess.send;
    const link = new AgentLink(inProcess, session, lost);
    await session.hello('pynq-llm fleet', undefined, { timeoutMs: ANSWER_MS });
    return link;
  }

  /** Tells once the agent has ended the session. @returns a function that ends this */
  onLost(tell: (reason: PynqLlmError) => void): () => void {
    this.#onLost.add(tell);
    return () => this.#onLost.delete(tell);
  }

  request<M extends MethodName>(
    method: M,
    params: Params<M>,
    timeoutMs: number = ANSWER_MS,
  ): Promise<Result<M>> {
    return this.#session.request(method, params, { timeoutMs });
  }

  /** A request with events: see ClientSession.openStream. */
  openStream<M extends StreamMethodName>(
    method: M,
    params: Params<M>,
    onEvent: (event: StreamEvent<M>) => void,
    timeoutMs: number = ANSWER_MS,
  ): ReturnType<typeof ClientSession.prototype.openStream<M>> {
    return this.#session.openStream(method, params, onEvent, { timeoutMs });
  }

  sendUpload(id: string, range: UploadRange, body: Readable): Promise<void> {
    return this.#agent.sendUpload(id, range, body);
  }

  close(): Promise<void> {
    return this.#agent.close();
  }
}
