import type { Hono } from 'hono';
import { newTraceContext, readTraceContext } from '../protocol/index.js';
import { activeTrace, openSpan } from '../spans/index.js';
import type { Env } from './guard.js';

/** What is asked for by machines that watch, every few seconds. */
const WATCHED: ReadonlySet<string> = new Set(['/health', '/metrics']);

/**
 * Makes each request part of a trace: of the one that is active in the process, else of the one that its `traceparent` names, else of one that
 * begins with it. The answer says which, in `traceresponse` (W3C's draft of trace response headers).
 */
export function traceRequests(app: Hono<Env>): void {
  app.use(async (context, next) => {
    const { method, path, url } = context.req;
    if (WATCHED.has(path)) return next();
    const came = readTraceContext(context.req.header('traceparent'), context.req.header('tracestate'));
    // Whoever instruments the server has read the header, and has a span of its own.
    const active = activeTrace();
    const span = openSpan(method, {
      kind: active === undefined ? 'server' : 'internal',
      parent: active ?? came,
      attributes: { 'http.request.method': method, 'url.path': path, 'url.scheme': url.split(':', 1)[0] },
    });
    const trace = span.context ?? newTraceContext();
    context.set('trace', trace);
    context.header('traceresponse', trace.traceparent);
    const { outgoing } = context.env;
    outgoing.once('close', () => {
      const { res, req } = context;
      span.rename(`${method} ${req.routePath}`);
      span.set({ 'http.route': req.routePath, 'http.response.status_code': res.status });
      const failure = res.status >= 500 ? (context.error ?? `HTTP ${res.status}`) : undefined;
      span.end(failure ?? (outgoing.writableFinished ? undefined : 'the client went away'));
    });
    return next();
  });
}
