import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { PynqLlmError } from '../errors/index.js';
import type { BoardClient } from '../sdk/index.js';
import { checkKey } from './api-key.js';
import { type AppOptions, createApp } from './app.js';

export { serveOnAgent } from './on-agent.js';

/** How long requests under way may take to end when the server closes. */
const DRAIN_MS = 30_000;

export interface HttpApiOptions extends Partial<Pick<AppOptions, 'origins' | 'load'>> {
  /** What clients send as `Authorization: Bearer`; without one everybody who reaches the server may use it. */
  readonly apiKey?: string | undefined;
  readonly host?: string | undefined;
  /** 0 for any free port. */
  readonly port: number;
}

/** A running HTTP API. */
export interface HttpApi extends AsyncDisposable {
  /** Base URL, without `/v1`. */
  readonly url: string;
  /** Takes no new work, lets requests end for at most half a minute, then closes. */
  close(): Promise<void>;
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/**
 * Serves a board under the OpenAI API, see docs/http-api.md.
 * @throws PynqLlmError HTTP_LISTEN_FAILED, HTTP_KEY_NEEDED where others than this machine can reach it without a key
 */
export async function serveHttpApi(board: BoardClient, options: HttpApiOptions): Promise<HttpApi> {
  const { host = '127.0.0.1', port, apiKey, origins = [], load = {} } = options;
  if (apiKey === undefined && !LOOPBACK.has(host))
    throw new PynqLlmError('HTTP_KEY_NEEDED', `${host} can be reached from other machines.`);
  const drain = new AbortController();
  const app = createApp(board, {
    authorise: checkKey(apiKey),
    origins,
    load,
    draining: drain.signal,
  });
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new PynqLlmError('HTTP_LISTEN_FAILED', `${host}:${port} cannot be listened on.`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      drain.abort();
      const kill = setTimeout(
        () => 'closeAllConnections' in server && server.closeAllConnections(),
        DRAIN_MS,
      );
      server.close(() => {
        clearTimeout(kill);
        resolve();
      });
      if ('closeIdleConnections' in server) server.closeIdleConnections();
    });
  const name = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${name}:${bound}`, close, [Symbol.asyncDispose]: close };
}
