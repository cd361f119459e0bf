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
import { type CoreTypes, systemClock } from '../protocol/index.js';
import { parseDeviceUrl } from './boards/open-board.js';
import { connectInProcess, type InProcessAgent, type InProcessEvents } from './in-process.js';
import { answerUploads } from './session/answer-uploads.js';
import { AgentCore } from './session/core.js';
import { defaultStoreDir } from './session/home.js';
import { removeOldScratch, scratchDirectory } from './session/scratch.js';
import { ModelStore } from './store/model-store.js';
import { nodeFs } from './store/store-fs.js';
import type { KvSettings } from './worker-link/kv-settings.js';

/** How long the answers to requests may take once their generations have ended. */
const ANSWER_MS = 1_000;

export interface AgentOptions {
  /** `mock:`, `mock:NAME` or `mock:FILE.toml`. */
  readonly device: string;
  /** `HOST:PORT`, `PORT` for loopback, or `unix:/PATH`; port 0 takes a free one. */
  readonly listen: string;
  /** What a client has to give: one token for the administrator, one for each role, or a list of them. Needed off loopback. */
  readonly token?: string | Tokens | undefined;
  /** For `wss:`. */
  readonly tls?: TlsFiles | undefined;
  /** Origins of web pages that may connect; none unless listed. */
  readonly origins?: readonly string[] | undefined;
  /** Directory of the model store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
  /** How keys and values are kept where who loads a model does not say. */
  readonly kv?: KvSettings | undefined;
  /** Parts of the board that clients of these names have, relative to the others' 1. */
  readonly clientWeights?: ReadonlyMap<string, number> | undefined;
  /** Compares after each MatMul how long the core computed with how long that takes; false unless given. */
  readonly checkCycles?: boolean | undefined;
  /** Threads that compute beside the device, the engine's among them, from 1 to 64; as many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** Which matrices of a model go to the core, where who loads it does not say. */
  readonly coreTypes?: CoreTypes | undefined;
  /** A pino logger, or anything like one. */
  readonly log?: Log | undefined;
  /** Milliseconds without progress after which the busy device worker is ended and started again; 2 minutes. */
  readonly hangMs?: number | undefined;
}

/** A running agent. */
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
 * Starts an agent: serves one device to clients.
 * @throws PynqLlmError AGENT_LISTEN_ADDRESS, AGENT_LISTEN_FAILED, AGENT_TOKEN_INVALID, AGENT_TLS, AGENT_DEVICE_URL,
 *   AGENT_STORE_FAILED; a device that cannot be opened is reported to clients and tried again
 */
export async function startAgent(options: AgentOptions): Promise<AgentHandle> {
  // Most of its lines are about what clients do, who may do it often.
  const log = new LimitedLog(options.log ?? silentLog, systemClock);
  const address = parseListenAddress(options.listen);
  const tokens = typeof options.token === 'string' ? { admin: options.token } : (options.token ?? {});
  const access = new AccessControl(tokens);
  if (address.kind === 'tcp' && !address.isLoopback && !access.hasTokens)
    throw new PynqLlmError(
      'AGENT_LISTEN_ADDRESS',
      `${options.listen} can be reached by others and no token is set.`,
      {
        context: { listen: options.listen },
      },
    );
  if (options.origins?.includes('*') && !access.hasTokens)
    throw new PynqLlmError('AGENT_LISTEN_ADDRESS', 'Every web page may connect and no token is set.', {
      context: { listen: options.listen },
    });
  const isTls = options.tls !== undefined;
  const goesWithTls =
    address.kind === 'tcp' ? address.scheme === undefined || (address.scheme === 'wss') === isTls : !isTls;
  if (!goesWithTls)
    throw new PynqLlmError(
      'AGENT_TLS',
      `${options.listen} ${isTls ? 'takes no' : 'needs'} key and certificate.`,
    );
  parseDeviceUrl(options.device);
  await removeOldScratch(log);
  const core = new AgentCore({
    device: options.device,
    store: await ModelStore.open(options.storeDir ?? defaultStoreDir(), nodeFs, log),
    scratch: scratchDirectory(),
    kv: options.kv ?? {},
    clientWeights: options.clientWeights ?? new Map(),
    checkCycles: options.checkCycles,
    threads: options.threads,
    coreTypes: options.coreTypes,
    clock: systemClock,
    log,
    hangMs: options.hangMs,
  });
  try {
    const listener = await listen({
      address,
      access,
      clock: systemClock,
      log,
      tls: options.tls,
      sessions: { open: (port, admit) => core.openSession(port, admit), origins: options.origins ?? [] },
    });
    const { url, fingerprint } = listener;
    listener.serveUploads(
      answerUploads({
        bodies: core.uploadBodies,
        admit: listener.admit,
        origins: options.origins ?? [],
        log,
      }),
    );
    log.info({ url, device: options.device, fingerprint }, 'agent listens');
    const close = async () => {
      await core.close();
      await listener.close();
    };
    return {
      url,
      serveHttp: listener.serveHttp,
      admit: listener.admit,
      isOpenLoopback: address.kind === 'tcp' && !access.hasTokens,
      connect: (events) => connectInProcess(core, events),
      log,
      drain: async (ms) => {
        await core.drain(ms);
        // The answer to a request comes a little after its last token.
        await listener.answered(ANSWER_MS);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await core.close();
    throw error;
  }
}
