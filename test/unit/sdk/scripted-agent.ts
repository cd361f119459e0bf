import { PynqLlmError } from '../../../errors/index.js';
import {
  type Call,
  HEARTBEAT_MS,
  PROTOCOL_VERSION,
  ServerSession,
  systemClock,
} from '../../../protocol/index.js';
import { Connection, type ConnectionOptions } from '../../../sdk/connection.js';
import type { OpenTransport } from '../../../sdk/transports/transport.js';

/** An agent's side of the protocol whose answers a test writes, behind a transport that a test can break. */
export interface ScriptedAgent {
  /** Every call that was answered, in order. */
  readonly calls: { readonly method: string; readonly params: unknown }[];
  /** Streams that are open now, over all connections. */
  readonly openStreams: number;
  /** Connections made so far. */
  readonly connections: number;
  /** When a connection was asked for, made or not: milliseconds. */
  readonly attempts: readonly number[];
  /** Whether hello is never answered on new connections. */
  isMute: boolean;
  /** What hello is refused with on new connections. */
  refusal: PynqLlmError | undefined;
  /** Whether new connections are refused. */
  isDown: boolean;
  /** Breaks the connection. */
  breakNow(): void;
  /** Ends the session with a reason that the client is told. */
  fail(reason: PynqLlmError): void;
  readonly open: OpenTransport;
  connect(options?: Partial<ConnectionOptions>): Promise<Connection>;
}

/** @param answer gives the result of a call, or throws its error */
export function scriptedAgent(answer: (call: Call) => unknown): ScriptedAgent {
  const calls: ScriptedAgent['calls'] = [];
  let openStreams = 0;
  let connections = 0;
  const attempts: number[] = [];
  let breakNow = () => {};
  let fail = (_reason: PynqLlmError) => {};
  const open: OpenTransport = async (events) => {
    attempts.push(performance.now());
    if (agent.isDown)
      throw new PynqLlmError('SDK_CONNECT_FAILED', 'scripted: could not be reached: connect ECONNREFUSED.');
    connections++;
    let isOpen = true;
    const session = new ServerSession({
      clock: systemClock,
      port: {
        send: (frame) => queueMicrotask(() => isOpen && events.onFrame(frame)),
        close: (reason) => queueMicrotask(() => events.onClose(reason)),
      },
      hello: () => {
        if (agent.refusal !== undefined) throw agent.refusal;
        return {
          protocol: PROTOCOL_VERSION,
          agent: 'scripted',
          capabilities: [],
          role: 'admin',
          heartbeatMs: HEARTBEAT_MS,
        };
      },
      handle: (call) => {
        calls.push({ method: call.method, params: call.params });
        return answer({ ...call, stream: () => counted(call) });
      },
      all: { inFlightBytes: 0 },
      internalCode: 'AGENT_INTERNAL',
      onInternalError: () => {},
      onClose: () => {},
    });
    const counted = (call: Call) => {
      const stream = call.stream();
      openStreams++;
      stream.listen(
        () => {},
        () => openStreams--,
      );
      return stream;
    };
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      session.close();
    };
    breakNow = () => {
      close();
      events.onClose(
        new PynqLlmError('SDK_CONNECTION_LOST', 'The connection to scripted broke: closed with code 1006.'),
      );
    };
    fail = (reason) => session.fail(reason);
    return {
      send: (frame) => queueMicrotask(() => isOpen && !agent.isMute && session.receive(frame)),
      sendUpload: () => Promise.reject(new Error('a scripted agent stores no models')),
      close: async () => close(),
    };
  };
  const agent: ScriptedAgent = {
    calls,
    get openStreams() {
      return openStreams;
    },
    get connections() {
      return connections;
    },
    attempts,
    isDown: false,
    isMute: false,
    refusal: undefined,
    open,
    breakNow: () => breakNow(),
    fail: (reason) => fail(reason),
    connect: (options = {}) =>
      Connection.open(open, {
        client: 'test',
        token: undefined,
        timeoutMs: 5_000,
        reconnectMs: 5_000,
        ...options,
      }),
  };
  return agent;
}
