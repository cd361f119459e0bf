import { getRequestListener } from '@hono/node-server';
import { AccessControl, isLoopback, type Token } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';
import { type Listener, listen, silentLog } from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import { type AppOptions, createApp } from './app.js';
import { type OpenBoard, ServedDevice } from './served-device.js';

export { serveOnAgent } from './on-agent.js';

/** How long requests under way may take to end when the server closes. */
const DRAIN_MS = 30_000;

export interface HttpApiOptions
  extends Partial<Pick<AppOptions, 'origins' | 'load' | 'onAnswered' | 'maxSilentMs'>> {
  /** Connects to the device: first where `HttpApi.open` is called, and again whenever it was lost. */
  readonly open: OpenBoard;
  /** Told when the device is away, with the reason, when it is back, and of errors that nobody expected. */
  readonly report?: ((text: string) => void) | undefined;
  /**
   * What clients send as `Authorization: Bearer`, one key or several, each with a share of the board; without one everybody
   * who reaches the server may use it.
   */
  readonly apiKey?: string | readonly Omit<Token, 'role'>[] | undefined;
  readonly host?: string | undefined;
  /** 0 for any free port. */
  readonly port: number;
}

/** An HTTP API that listens; until its device is open it answers 503. */
export interface HttpApi extends AsyncDisposable {
  /** Base URL, without `/v1`. */
  readonly url: string;
  /** Opens the device; a first attempt that fails is not repeated. @throws as `open` of the options */
  open(signal?: AbortSignal): Promise<void>;
  /** Takes no new work, answers 503 while requests under way end, for at most half a minute, then closes. */
  close(): Promise<void>;
}

/**
 * Serves a board under the OpenAI API, see docs/http-api.md.
 * @throws PynqLlmError HTTP_LISTEN_FAILED, HTTP_KEY_NEEDED where others than this machine or all web pages can reach it without a key,
 *   AGENT_TOKEN_INVALID where the key is short
 */
export async function serveHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  const { host = '127.0.0.1', port, apiKey, origins = [], load = {}, open, report, onAnswered } = options;
  const keys = typeof apiKey === 'string' ? [{ token: apiKey }] : (apiKey ?? []);
  const access = new AccessControl(keys.map((key) => ({ ...key, role: 'infer' as const })));
  if (!access.hasTokens && !isLoopback(host))
    throw new PynqLlmError('HTTP_KEY_NEEDED', `${host} can be reached from other machines.`);
  if (!access.hasTokens && origins.includes('*'))
    throw new PynqLlmError(
      'HTTP_KEY_NEEDED',
      'Every web page that is open on this machine could use the board.',
    );
  const drain = new AbortController();
  const device = new ServedDevice({ open, report, ended: drain.signal });
  const listener = await listenOn(host, port, access);
  const app = createApp(device, {
    authorise: (key, request) => listener.admit(key, request),
    isOpenLoopback: !access.hasTokens,
    origins,
    load,
    maxSilentMs: options.maxSilentMs,
    onAnswered,
    onUnexpected: (error) =>
      report?.(`this is a bug, please report it: ${error instanceof Error ? error.stack : String(error)}`),
    draining: drain.signal,
  });
  listener.serveHttp(getRequestListener(app.fetch));
  const close = async () => {
    drain.abort();
    // It listens meanwhile: load balancers are to see the 503 of /health.
    await listener.answered(DRAIN_MS);
    await listener.close();
    await device.close();
  };
  return {
    url: listener.url.replace(/^ws/, 'http'),
    open: (signal) => device.open(signal),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function listenOn(host: string, port: number, access: AccessControl): Promise<Listener> {
  try {
    const address = { kind: 'tcp', host, port, isLoopback: isLoopback(host), scheme: undefined } as const;
    return await listen({ address, access, clock: systemClock, log: silentLog });
  } catch (cause) {
    throw new PynqLlmError('HTTP_LISTEN_FAILED', `${host}:${port} cannot be listened on.`, { cause });
  }
}
