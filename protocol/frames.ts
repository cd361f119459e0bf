import { PynqLlmError, type WireError } from '../errors/index.js';
import { wireError } from './wire-error.js';

/** Client to agent: a call. Ids are whole numbers, each used once in a session; the id also names the call's stream. */
export interface RequestFrame {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

/**
 * Client to agent: how far the client is ready to read a stream. `credit` is absolute: events numbered below it
 * may be sent. Repeating or losing one therefore does no harm.
 */
export interface CreditFrame {
  readonly stream: number;
  readonly credit: number;
}

/** Agent to client: the one answer to a request. */
export interface ReplyFrame {
  readonly id: number;
  readonly result: unknown;
}
export interface ErrorFrame {
  readonly id: number;
  readonly error: WireError;
}

/** Agent to client: an event of the stream that request `stream` opened; `seq` counts from 0 without gaps. */
export interface EventFrame {
  readonly stream: number;
  readonly seq: number;
  readonly event: unknown;
}

/** Agent to client: a frame that belongs to no request was not accepted; the session goes on. */
export interface RefusedFrame {
  readonly refused: WireError;
}

/** Agent to client: the last frame of a session that the agent ends, and why. */
export interface FatalFrame {
  readonly fatal: WireError;
}

export type ClientFrame = RequestFrame | CreditFrame;
export type ServerFrame = ReplyFrame | ErrorFrame | EventFrame | RefusedFrame | FatalFrame;

/** Reads what a client sent. @throws PynqLlmError PROTOCOL_FRAME_MALFORMED */
export function readClientFrame(value: unknown): ClientFrame {
  const frame = requireMap(value);
  if ('method' in frame) {
    const { id, method, params } = requireKeys(frame, ['id', 'method', 'params']);
    if (typeof method === 'string') return { id: requireNumber(id, 'id'), method, params };
  } else if ('credit' in frame) {
    const { stream, credit } = requireKeys(frame, ['stream', 'credit']);
    return { stream: requireNumber(stream, 'stream'), credit: requireNumber(credit, 'credit') };
  }
  throw malformed('it is neither a request nor a credit');
}

/** Reads what an agent sent. @throws PynqLlmError PROTOCOL_FRAME_MALFORMED */
export function readServerFrame(value: unknown): ServerFrame {
  const frame = requireMap(value);
  if ('result' in frame) {
    const { id, result } = requireKeys(frame, ['id', 'result']);
    return { id: requireNumber(id, 'id'), result };
  }
  if ('error' in frame) {
    const { id, error } = requireKeys(frame, ['id', 'error']);
    return { id: requireNumber(id, 'id'), error: requireWireError(error) };
  }
  if ('event' in frame) {
    const { stream, seq, event } = requireKeys(frame, ['stream', 'seq', 'event']);
    return { stream: requireNumber(stream, 'stream'), seq: requireNumber(seq, 'seq'), event };
  }
  if ('refused' in frame) return { refused: requireWireError(requireKeys(frame, ['refused']).refused) };
  if ('fatal' in frame) return { fatal: requireWireError(requireKeys(frame, ['fatal']).fatal) };
  throw malformed('it is neither a reply, an error, an event nor a farewell');
}

function requireMap(value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value;
  throw malformed('it is not a map');
}

function requireKeys<K extends string>(frame: object, keys: readonly K[]): Partial<Record<K, unknown>> {
  const known: readonly string[] = keys;
  for (const key of Object.keys(frame))
    if (!known.includes(key)) throw malformed(`it holds the unknown field "${key.slice(0, 40)}"`);
  return frame;
}

function requireNumber(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`its ${field} is not a whole number`);
}

function requireWireError(value: unknown): WireError {
  const parsed = wireError.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed('its error is not one');
}

function malformed(reason: string): PynqLlmError {
  return new PynqLlmError('PROTOCOL_FRAME_MALFORMED', `A frame cannot be accepted: ${reason}.`);
}
