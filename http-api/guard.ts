import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { type Admission, isLetIn, isLoopbackHost } from '../access/index.js';
import type { TraceContext } from '../protocol/index.js';
import { ApiError } from './api-error.js';

/** What a request took. */
export interface Work {
  readonly model?: string;
  readonly promptTokens?: number;
  readonly generatedTokens?: number;
}

export type Env = {
  Bindings: HttpBindings;
  /** Whose share of the board the request uses, once it was let in. */
  Variables: {
    share: readonly string[];
    /** What is known of its work, for the access log. */
    work?: Work;
    /** The trace that it is part of; nobody asks of what machines watch. */
    trace?: TraceContext;
  };
};

/** Who is let in. */
export interface GuardOptions {
  /** The role and the share of who sent this request with this `Authorization: Bearer`; throws where it is none. */
  readonly authorise: (key: string | undefined, request: IncomingMessage) => Admission;
  /** Whether whoever reaches the port is let in, which programs of this machine alone do. */
  readonly isOpenLoopback: boolean;
  /** Values of the Origin header that are let in, or `*` for all; browsers send one, other clients do not. */
  readonly origins: readonly string[];
}

/** Refuses web pages that are not listed, and names that a page's own server gave this address (DNS rebinding). */
export function guardOrigins(app: Hono<Env>, { isOpenLoopback, origins }: GuardOptions): void {
  app.use((context, next) => {
    const host = context.req.header('host') ?? '';
    if (isOpenLoopback && !isLoopbackHost(host))
      throw new ApiError(
        403,
        `Without a key the host is localhost or 127.0.0.1, not ${host}.`,
        'host_refused',
      );
    return next();
  });
  app.use((context, next) => {
    const origin = context.req.header('origin');
    if (!isLetIn(origins, origin))
      throw new ApiError(403, `The origin ${origin} is not allowed.`, 'origin_refused');
    return next();
  });
  if (origins.length > 0)
    app.use(
      cors({
        origin: origins.includes('*') ? '*' : [...origins],
        allowMethods: ['GET', 'POST'],
        exposeHeaders: ['retry-after', 'traceresponse', 'x-pynq-llm-chat-template'],
      }),
    );
}

/** Refuses who has no key, and what the key's role may not do. */
export function guardRoles(app: Hono<Env>, options: GuardOptions): void {
  app.use((context, next) => {
    const { role, share } = admissionOf(context, options);
    context.set('share', share);
    if (role === 'read' && context.req.method !== 'GET' && context.req.method !== 'HEAD')
      throw new ApiError(403, 'This key may look, not generate.', 'role_too_low');
    return next();
  });
}

export function isAdmitted(context: Context<Env>, options: GuardOptions): boolean {
  try {
    admissionOf(context, options);
    return true;
  } catch {
    return false;
  }
}

function admissionOf({ env, req }: Context<Env>, { authorise }: GuardOptions): Admission {
  const key = /^Bearer\s+(.+)$/i.exec(req.header('authorization') ?? '')?.[1];
  return authorise(key, env.incoming);
}
