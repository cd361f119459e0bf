import type { Hono } from 'hono';
import { traceIdOf } from '../protocol/index.js';
import type { Env, Work } from './guard.js';

/** A request that was answered. No text of it or of the answer. */
export interface AccessEntry extends Work {
  readonly method: string;
  /** The route, such as `/v1/models/:id{.+}`: what stands there may be a text. */
  readonly route: string;
  readonly status: number;
  /** From the request's head to the last byte of the answer, or to the end of a connection that broke before. */
  readonly ms: number;
  /** Whether the client went away before the answer's end. */
  readonly aborted: boolean;
  /** Id of the trace that it is part of. */
  readonly trace?: string;
}

/** Tells of each request once its answer is sent. */
export function tellAccesses(app: Hono<Env>, tell: (entry: AccessEntry) => void): void {
  app.use(async (context, next) => {
    const start = performance.now();
    const { outgoing } = context.env;
    const { trace } = context.var;
    context.set('work', {});
    outgoing.once('close', () => {
      tell({
        method: context.req.method,
        route: context.req.routePath,
        status: context.res.status,
        ms: Math.round(performance.now() - start),
        ...context.var.work,
        aborted: !outgoing.writableFinished,
        ...(trace === undefined ? {} : { trace: traceIdOf(trace) }),
      });
    });
    await next();
  });
}
