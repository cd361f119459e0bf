import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './api-error.js';
import type { BodyTurns } from './body-turns.js';
import { JsonScanner } from './json-scanner.js';

/** The largest request body: a prompt of the longest context, generously. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Bodies up to this size never wait: a hundred of them are not much. */
export const SMALL_BODY_BYTES = 64 * 1024;

/** What a value takes in memory beside its text, about. */
const BYTES_PER_VALUE = 64;

const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** A request's two ends, as node:http has them. */
export interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/**
 * The JSON value that a request's body holds. It is read as it comes, never further than its limits; a large one when its
 * turn has come, until when its socket is not read. What was read counts as kept until the request is answered.
 * @throws ApiError 400, 408, 413, 415, 503
 */
export async function readBody(
  { incoming, outgoing }: Exchange,
  client: string,
  turns: BodyTurns,
): Promise<unknown> {
  const declared = declaredLength(incoming.headers);
  return new Promise((resolve, reject) => {
    const scanner = new JsonScanner();
    let bytes = Buffer.alloc(0);
    let length = 0;
    /** Set for a large body, which takes its turn or waits for it. */
    let leave: (() => void) | undefined;
    const finish = () => {
      incoming.off('data', onData).off('end', onEnd).off('error', onLost).off('close', onLost);
      leave?.();
    };
    const fail = (error: unknown) => {
      finish();
      reject(error);
    };
    const takeTurn = () => {
      leave = () => {};
      leave = turns.enter({ client, received: () => length, begin: () => incoming.resume(), fail });
    };
    const onData = (piece: Buffer) => {
      try {
        if (length + piece.length > MAX_BODY_BYTES) throw tooLarge();
        scanner.write(piece);
      } catch (error) {
        fail(error);
        return;
      }
      bytes = withRoom(bytes, length, length + piece.length, declared);
      length += piece.copy(bytes, length);
      if (length <= SMALL_BODY_BYTES || leave !== undefined) return;
      incoming.pause();
      takeTurn();
    };
    const onEnd = () => {
      try {
        const value = parse(bytes.subarray(0, length));
        if (leave !== undefined && !outgoing.destroyed)
          outgoing.once('close', turns.keep(length + scanner.values * BYTES_PER_VALUE));
        finish();
        resolve(value);
      } catch (error) {
        fail(error);
      }
    };
    const onLost = () => fail(new ApiError(400, 'The client went away.', 'request_incomplete'));
    incoming.on('end', onEnd).on('error', onLost).on('close', onLost);
    if ((declared ?? 0) > SMALL_BODY_BYTES) {
      // Nothing flows before its turn, though somebody listens.
      incoming.pause();
      incoming.on('data', onData);
      takeTurn();
    } else incoming.on('data', onData);
  });
}

/** @returns undefined where the body comes in chunks @throws ApiError 413, 415 */
function declaredLength(headers: IncomingHttpHeaders): number | undefined {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') throw unsupported(`encoded as ${encoding}`);
  const charset = /;\s*charset="?([^\s";]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) throw unsupported(`written in ${charset}`);
  const { 'content-length': text } = headers;
  if (text === undefined) return undefined;
  const length = Number(text);
  if (length > MAX_BODY_BYTES) throw tooLarge();
  return length;
}

/** Memory of its own, because a body of a byte a piece would hold an object for each. */
function withRoom(
  bytes: Buffer,
  used: number,
  needed: number,
  declared: number | undefined,
): Buffer<ArrayBuffer> {
  if (needed <= bytes.length) return bytes as Buffer<ArrayBuffer>;
  const larger = Buffer.allocUnsafeSlow(
    declared ?? Math.min(MAX_BODY_BYTES, Math.max(needed, 2 * bytes.length)),
  );
  bytes.copy(larger, 0, 0, used);
  return larger;
}

/** @throws ApiError 400 */
function parse(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new ApiError(400, 'The body is not UTF-8.', 'invalid_encoding');
  const marked = bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
  try {
    return JSON.parse(bytes.toString('utf8', marked ? BYTE_ORDER_MARK.length : 0));
  } catch {
    throw new ApiError(
      400,
      bytes.length === 0 ? 'The body is empty.' : 'The body is not JSON.',
      'invalid_json',
    );
  }
}

function tooLarge(): ApiError {
  return new ApiError(413, `The request is larger than ${MAX_BODY_BYTES} bytes.`, 'request_too_large');
}

function unsupported(what: string): ApiError {
  return new ApiError(415, `The body is ${what}: only plain UTF-8 is read.`, 'unsupported_body');
}
