import type { IncomingMessage, RequestListener } from 'node:http';
import { AccessControl, type Admission, type Tokens } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';
import {
  LimitedLog,
  type Log,
  listen,
  parseListenAddress,
  silentLog,
  type TlsFiles,
} from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import { connectInProcess, type InProcessAgent, type InProcessEvents } from './in-process.js';
import { answerUploads } from './session/answer-uploads.js';
import type { SessionHost } from './session/session-host.js';

/** How long the answers to requests may take once their generations have ended. */
const ANSWER_MS = 1_000;

/** Where, and to whom, a host is served. */
export interface ListenOptions {
  /** `HOST:PORT`, `PORT` for loopback, or `unix:/PATH`; port 0 takes a free one. */
  readonly listen: string;
  /** What a client has to give: one token for the administrator, one for each role, or a list of them. Needed off loopback. */
  readonly token?: string | Tokens | undefined;
  /** For `wss:`. */
  readonly tls?: TlsFiles | undefined;
  /** Origins of web pages that may connect; none unless listed. */
  readonly origins?: readonly string[] | undefined;
  /** A pino logger, or anything like one. */
  readonly log?: Log | undefined;
}

/** A running agent, or gateway. */
export interface AgentHandle extends AsyncDisposable {
  /** What to give to `connect`. */
  readonly url: string;
  /** Answers what comes to its port and is no WebSocket. */
  serveHttp(answer: RequestListener): void;
  /** The role and the share of who sent this request with this token. @throws as Listener.admit */
  admit(token: string | undefined, request: IncomingMessage): Admission;
  /** Whether it lets in whoever reaches its port, which programs of this machine alone do. */
  readonly isOpenLoopback: boolean;
  /** A session inside this process, with every right. */
  connect(events: InProcessEvents): InProcessAgent;
  /** The one that was given, with a limit on lines of a kind. */
  readonly log: Log;
  /** Takes no more generations, and waits at most `ms` milliseconds for those that clients wait for. */
  drain(ms: number): Promise<void>;
  /** Tells every client, and ends. */
  close(): Promise<void>;
}

/**
 * Listens for clients of a host.
 * @param open makes it, once it is known that it can be listened for; it is closed where listening fails
 * @param facts beside the address in the log
 * @throws PynqLlmError AGENT_LISTEN_ADDRESS, AGENT_LISTEN_FAILED, AGENT_TOKEN_INVALID, AGENT_TLS; as `open`
 */
export async function serveHost(
  options: ListenOptions,
  open: (log: Log) => Promise<SessionHost>,
  facts: object,
): Promise<AgentHandle> {
  // Most of its lines are about what clients do, who may do it often.
  const log = new LimitedLog(options.log ?? silentLog, systemClock);
  const origins = options.origins ?? [];
  const { address, access } = checkListening(options);
  const host = await open(log);
  try {
    const listener = await listen({
      address,
      access,
      clock: systemClock,
      log,
      tls: options.tls,
      sessions: { open: (port, admit) => host.openSession(port, admit), origins },
    });
    const { url, fingerprint } = listener;
    listener.serveUploads(answerUploads({ bodies: host.uploadBodies, admit: listener.admit, origins, log }));
    log.info({ url, ...facts, fingerprint }, 'agent listens');
    const close = async () => {
      await host.close();
      await listener.close();
    };
    return {
      url,
      serveHttp: listener.serveHttp,
      admit: listener.admit,
      isOpenLoopback: address.kind === 'tcp' && !access.hasTokens,
      connect: (events) => connectInProcess(host, events),
      log,
      drain: async (ms) => {
        await host.drain(ms);
        // The answer to a request comes a little after its last token.
        await listener.answered(ANSWER_MS);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** @throws PynqLlmError AGENT_LISTEN_ADDRESS, AGENT_TOKEN_INVALID, AGENT_TLS */
function checkListening({ listen: where, token, origins, tls }: ListenOptions) {
  const address = parseListenAddress(where);
  const tokens = typeof token === 'string' ? { admin: token } : (token ?? {});
  const access = new AccessControl(tokens);
  const context = { listen: where };
  if (address.kind === 'tcp' && !address.isLoopback && !access.hasTokens)
    throw new PynqLlmError('AGENT_LISTEN_ADDRESS', `${where} can be reached by others and no token is set.`, {
      context,
    });
  if (origins?.includes('*') && !access.hasTokens)
    throw new PynqLlmError('AGENT_LISTEN_ADDRESS', 'Every web page may connect and no token is set.', {
      context,
    });
  const isTls = tls !== undefined;
  const goesWithTls =
    address.kind === 'tcp' ? address.scheme === undefined || (address.scheme === 'wss') === isTls : !isTls;
  if (!goesWithTls)
    throw new PynqLlmError('AGENT_TLS', `${where} ${isTls ? 'takes no' : 'needs'} key and certificate.`);
  return { address, access };
}
