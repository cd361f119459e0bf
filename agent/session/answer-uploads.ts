import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { type Admission, isLetIn } from '../../access/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import {
  errorToWire,
  MAX_UPLOAD_BODY_BYTES,
  parseContentRange,
  UPLOAD_PATH,
  type UploadRange,
} from '../../protocol/index.js';
import type { UploadBodies } from './upload-bodies.js';

interface UploadHttpOptions {
  readonly bodies: UploadBodies;
  /** @throws as Listener.admit */
  readonly admit: (token: string | undefined, request: IncomingMessage) => Admission;
  /** Values of the Origin header that are let in, or `*` for all. */
  readonly origins: readonly string[];
  readonly log: Log;
}

/** Statuses of what is refused by its code; others are 500. */
const STATUS: Readonly<Record<string, number>> = {
  AGENT_UNAUTHORISED: 401,
  PROTOCOL_ROLE_REQUIRED: 403,
  AGENT_ORIGIN_REFUSED: 403,
  AGENT_UPLOAD_UNKNOWN: 404,
  AGENT_UPLOAD_ENDED: 409,
  AGENT_UPLOAD_RANGE: 416,
  AGENT_UPLOAD_MISMATCH: 422,
  AGENT_TOO_MANY_ATTEMPTS: 429,
  AGENT_UPLOADS_BUSY: 503,
  AGENT_TOO_MANY_SESSIONS: 503,
  AGENT_STORE_FULL: 507,
};

/** Answers `PUT /upload/ID`: bytes of an upload that a session began. A WebSocket's would have to be unmasked. */
export function answerUploads(options: UploadHttpOptions): RequestListener {
  return (request, response) => {
    const { origin } = request.headers;
    if (origin !== undefined && isLetIn(options.origins, origin)) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('vary', 'origin');
    }
    if (request.method === 'OPTIONS' && response.hasHeader('access-control-allow-origin')) {
      response.setHeader('access-control-allow-methods', 'PUT');
      response.setHeader('access-control-allow-headers', 'authorization, content-range, content-type');
      response.writeHead(204).end();
    } else if (request.method !== 'PUT') response.writeHead(405, { allow: 'PUT' }).end();
    else void take(request, response, options);
  };
}

async function take(
  request: IncomingMessage,
  response: ServerResponse,
  { bodies, admit, origins, log }: UploadHttpOptions,
): Promise<void> {
  let isOpen = false;
  try {
    const { origin, authorization } = request.headers;
    if (!isLetIn(origins, origin))
      throw new PynqLlmError('AGENT_ORIGIN_REFUSED', 'The origin of the request is not listed.');
    const admission = admit(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1], request);
    await bodies.receive(idOf(request), rangeOf(request), admission, () => {
      isOpen = true;
      // Who asks before it sends is not sent away with bytes under way.
      if (request.headers.expect !== undefined) response.writeContinue();
      return request;
    });
    response.writeHead(204).end();
  } catch (error) {
    if (!isPynqLlmError(error) && !request.destroyed)
      log.error({ err: error }, 'unexpected error of an upload');
    // A client reads the answer once it has sent all: the rest is let pass, as long as any request may take.
    if (isOpen) await finished(request.resume(), { writable: false }).catch(() => undefined);
    else response.shouldKeepAlive = false;
    if (response.destroyed || response.socket === null) return;
    const { code, ...wire } = errorToWire(error, 'AGENT_INTERNAL');
    const status = STATUS[code] ?? 500;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ code, ...wire }));
  }
}

function idOf({ url = '' }: IncomingMessage): string {
  return url.slice(UPLOAD_PATH.length);
}

/** @throws PynqLlmError AGENT_UPLOAD_RANGE */
function rangeOf({ headers }: IncomingMessage): UploadRange {
  const range = parseContentRange(headers['content-range'] ?? '');
  if (range === undefined) throw wrong('It has no Content-Range: bytes FIRST-LAST/ALL, or a wrong one.');
  // Node.js answers by itself where the length is no number, or is said twice, or comes with chunks.
  if (headers['content-length'] === undefined || Number(headers['content-length']) !== range.byteLength)
    throw wrong(
      `Its Content-Length is ${headers['content-length'] ?? 'not said'}, its range has ${range.byteLength} bytes.`,
    );
  if (range.byteLength > MAX_UPLOAD_BODY_BYTES)
    throw wrong(`It has ${range.byteLength} bytes; a body may have ${MAX_UPLOAD_BODY_BYTES}.`);
  return range;
}

function wrong(what: string): PynqLlmError {
  return new PynqLlmError('AGENT_UPLOAD_RANGE', what);
}
