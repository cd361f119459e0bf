import type { RequestListener } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import type { BoardClient } from '../sdk/index.js';
import { type AppOptions, createApp } from './app.js';

/** A device that could not be opened is tried again so often: by then the agent may have started its worker anew. */
const RETRY_MS = 1_000;

/** The part of a running agent that the API is added to. */
export interface HttpHost {
  serveHttp(answer: RequestListener): void;
  readonly admit: AppOptions['authorise'];
}

export interface OnAgentOptions extends Pick<AppOptions, 'origins'> {
  /** Connects to the agent from inside its process; resolves when the device is open. */
  readonly open: (signal: AbortSignal) => Promise<BoardClient>;
}

/**
 * Serves the OpenAI API on an agent's own port, to those whom its tokens let in. Until the device is open every answer is
 * 503. Disposing takes no new work; what is under way is the agent's to end.
 */
export function serveOnAgent(agent: HttpHost, options: OnAgentOptions): Disposable {
  const end = new AbortController();
  let state: { readonly status: 'loading' | 'failed'; readonly error?: string } = { status: 'loading' };
  agent.serveHttp((_, response) => {
    const message = state.error ?? 'The device is being opened.';
    const error = { message, type: 'service_unavailable', param: null, code: state.status };
    response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' });
    response.end(JSON.stringify({ status: state.status, error }));
  });
  const start = async () => {
    while (!end.signal.aborted) {
      try {
        const board = await options.open(end.signal);
        const { origins } = options;
        const authorise = agent.admit.bind(agent);
        const app = createApp(board, { authorise, origins, load: {}, draining: end.signal });
        agent.serveHttp(getRequestListener(app.fetch));
        return;
      } catch (error) {
        state = { status: 'failed', error: error instanceof Error ? error.message : String(error) };
      }
      await delay(RETRY_MS, undefined, { signal: end.signal }).catch(() => undefined);
    }
  };
  void start();
  return { [Symbol.dispose]: () => end.abort() };
}
