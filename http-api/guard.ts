import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { isLoopbackHost } from '../access/index.js';
import { addressOf as remoteOf } from '../listen/index.js';
import type { Role } from '../sdk/index.js';
import { ApiError } from './api-error.js';

export type Env = { Bindings: HttpBindings };

/** Who is let in. */
export interface GuardOptions {
  /** The role of who sent this request with this `Authorization: Bearer`; throws where it is none. */
  readonly authorise: (key: string | undefined, request: IncomingMessage) => Role;
  /** Whether whoever reaches the port is let in, which programs of this machine alone do. */
  readonly isOpenLoopback: boolean;
  /** Values of the Origin header that are let in; browsers send one, other clients do not. */
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
    if (origin !== undefined && !origins.includes(origin))
      throw new ApiError(403, `The origin ${origin} is not allowed.`, 'origin_refused');
    return next();
  });
  if (origins.length > 0)
    app.use(
      cors({
        origin: [...origins],
        allowMethods: ['GET', 'POST'],
        exposeHeaders: ['retry-after', 'x-pynq-llm-chat-template'],
      }),
    );
}

/** Refuses who has no key, and what the key's role may not do. */
export function guardRoles(app: Hono<Env>, options: GuardOptions): void {
  app.use((context, next) => {
    const role = roleOf(context, options);
    if (role === 'read' && context.req.method !== 'GET' && context.req.method !== 'HEAD')
      throw new ApiError(403, 'This key may look, not generate.', 'role_too_low');
    return next();
  });
}

export function isAdmitted(context: Context<Env>, options: GuardOptions): boolean {
  try {
    roleOf(context, options);
    return true;
  } catch {
    return false;
  }
}

/** Where a request comes from. */
export function addressOf({ env }: Context<Env>): string {
  return remoteOf(env.incoming);
}

function roleOf(context: Context<Env>, { authorise }: GuardOptions): Role {
  const key = /^Bearer\s+(.+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
  return authorise(key, context.env.incoming);
}
