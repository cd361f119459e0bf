import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import {
  errorFromWire,
  formatContentRange,
  UPLOAD_PATH,
  type UploadRange,
  wireError,
} from '../../protocol/index.js';
import type { UploadAccess } from './transport.js';

/** An error is told in less. */
const MAX_ANSWER_LENGTH = 65_536;

/** Where uploads go: the agent that a WebSocket leads to. */
export interface UploadPlace {
  /** `http:` or `https:`, what stands before UPLOAD_PATH. */
  readonly url: URL;
  /** How its connections are made. */
  readonly how: Pick<RequestOptions, 'agent' | 'socketPath'>;
  /** What error messages call the agent. */
  readonly name: string;
}

/**
 * Sends bytes of an upload as the body of a PUT. The agent is asked first whether it wants them.
 * @throws as Transport.sendUpload
 */
export function putUpload(
  { url, how, name }: UploadPlace,
  id: string,
  range: UploadRange,
  body: Readable,
  { token, signal }: UploadAccess,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)({
      ...how,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port,
      path: `${url.pathname.replace(/\/$/, '')}${UPLOAD_PATH}${id}${url.search}`,
      method: 'PUT',
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        'content-length': range.byteLength,
        'content-range': formatContentRange(range),
        'content-type': 'application/octet-stream',
        expect: '100-continue',
      },
    });
    // A request that has no socket yet does not say that it was destroyed.
    const onAbort = () => end(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const end = (error: unknown) => {
      signal.removeEventListener('abort', onAbort);
      body.destroy();
      if (error === undefined) return resolve();
      request.destroy();
      reject(signal.aborted ? signal.reason : error);
    };
    const lose = (cause: Error) => end(isPynqLlmError(cause) ? cause : broken(name, cause));
    request.on('error', lose);
    let isAnswered = false;
    request.once('continue', () => {
      writeBody(request, body, () => isAnswered).catch(end);
    });
    request.once('response', (response) => {
      isAnswered = true;
      readAnswer(response).then((text) => end(errorOf(response.statusCode ?? 0, text, name)), lose);
    });
  });
}

/** One piece after the other, so that its memory is free for the next one. @throws what the body throws */
async function writeBody(request: ClientRequest, body: Readable, isAnswered: () => boolean): Promise<void> {
  for await (const piece of body) {
    if (request.destroyed || isAnswered()) return;
    await new Promise<void>((resolve) => request.write(piece, () => resolve()));
  }
  request.end();
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const piece of response) {
    text += piece;
    if (text.length > MAX_ANSWER_LENGTH) break;
  }
  return text;
}

function errorOf(status: number, text: string, name: string): PynqLlmError | undefined {
  if (status === 204) return undefined;
  // Node.js says so where the request took too long: a slow line sends less at a time.
  if (status === 408) return broken(name, new Error('it took too long'));
  try {
    return errorFromWire(wireError.parse(JSON.parse(text)));
  } catch (cause) {
    return new PynqLlmError(
      'PROTOCOL_BAD_RESULT',
      `${name} answered bytes of an upload with status ${status}.`,
      {
        cause,
        context: { status },
      },
    );
  }
}

function broken(name: string, cause: Error): PynqLlmError {
  return new PynqLlmError(
    'SDK_CONNECTION_LOST',
    `The connection to ${name} broke while bytes were sent: ${cause.message}.`,
    { cause },
  );
}
