import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { AccessControl, isLoopback, type Token } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';
import { type AppOptions, createApp } from './app.js';
import { type OpenBoard, ServedDevice } from './served-device.js';

export { serveOnAgent } from './on-agent.js';

/** How long requests under way may take to end when the server closes. */
const DRAIN_MS = 30_000;

export interface HttpApiOptions extends Partial<Pick<AppOptions, 'origins' | 'load'>> {
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
 * @throws PynqLlmError HTTP_LISTEN_FAILED, HTTP_KEY_NEEDED where others than this machine can reach it without a key,
 *   AGENT_TOKEN_INVALID where the key is short
 */
export async function serveHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  const { host = '127.0.0.1', port, apiKey, origins = [], load = {}, open, report } = options;
  const keys = typeof apiKey === 'string' ? [{ token: apiKey }] : (apiKey ?? []);
  const access = new AccessControl(keys.map((key) => ({ ...key, role: 'infer' as const })));
  if (!access.hasTokens && !isLoopback(host))
    throw new PynqLlmError('HTTP_KEY_NEEDED', `${host} can be reached from other machines.`);
  const drain = new AbortController();
  const device = new ServedDevice({ open, report, ended: drain.signal });
  const app = createApp(device, {
    authorise: (key, address) => access.admit(key, address),
    isOpenLoopback: !access.hasTokens,
    origins,
    load,
    onUnexpected: (error) =>
      report?.(`this is a bug, please report it: ${error instanceof Error ? error.stack : String(error)}`),
    draining: drain.signal,
  });
  const server = createServer(getRequestListener(app.fetch));
  const underWay = new Set<ServerResponse>();
  server.on('request', (_, response) => {
    underWay.add(response);
    response.once('close', () => underWay.delete(response));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new PynqLlmError('HTTP_LISTEN_FAILED', `${host}:${port} cannot be listened on.`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  // A TCP server's address is an AddressInfo once it listens.
  const { port: bound } = server.address() as AddressInfo;
  const close = async () => {
    drain.abort();
    // It listens meanwhile: load balancers are to see the 503 of /health.
    const ended = Promise.all(
      [...underWay].map((response) => new Promise((resolve) => response.once('close', resolve))),
    );
    await Promise.race([ended, delay(DRAIN_MS, undefined, { ref: false })]);
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    await device.close();
  };
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${bound}`,
    open: (signal) => device.open(signal),
    close,
    [Symbol.asyncDispose]: close,
  };
}
