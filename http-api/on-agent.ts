import type { RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { type AppOptions, createApp } from './app.js';
import { type OpenBoard, ServedDevice } from './served-device.js';

/** The part of a running agent that the API is added to. */
export interface HttpHost extends Pick<AppOptions, 'isOpenLoopback'> {
  serveHttp(answer: RequestListener): void;
  readonly admit: AppOptions['authorise'];
}

export interface OnAgentOptions
  extends Pick<AppOptions, 'origins' | 'maxSilentMs' | 'onUnexpected' | 'onAnswered'> {
  /** Connects to the agent from inside its process. */
  readonly open: OpenBoard;
}

/**
 * Serves the OpenAI API on an agent's own port, to those whom its tokens let in. While the device is not open answers that
 * need it are 503. Disposing takes no new work; what is under way is the agent's to end.
 */
export function serveOnAgent(
  agent: HttpHost,
  { open, origins, maxSilentMs, onUnexpected, onAnswered }: OnAgentOptions,
): Disposable {
  const end = new AbortController();
  const device = new ServedDevice({ open, ended: end.signal });
  const app = createApp(device, {
    authorise: (key, request) => agent.admit(key, request),
    isOpenLoopback: agent.isOpenLoopback,
    origins,
    load: {},
    maxSilentMs,
    onUnexpected,
    onAnswered,
    draining: end.signal,
  });
  agent.serveHttp(getRequestListener(app.fetch));
  void device.keepOpening();
  return { [Symbol.dispose]: () => end.abort() };
}
