import { type ErrorCodeName, isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type { Clock } from './clock.js';
import { decodeFrame, encodeFrame } from './codec.js';
import { type CreditFrame, type RequestFrame, readClientFrame, type ServerFrame } from './frames.js';
import {
  BAD_FRAME_WINDOW_MS,
  HELLO_DEADLINE_MS,
  MAX_BAD_FRAMES,
  MAX_IN_FLIGHT,
  MAX_IN_FLIGHT_BYTES,
  MAX_IN_FLIGHT_BYTES_OF_ALL,
  MAX_STREAMS,
} from './limits.js';
import { isMethodName, type MethodName, methodEntry, type Params } from './methods.js';
import type { HelloResult } from './schemas/board.js';
import { ROLES, type Role } from './schemas/common.js';
import { ServerStream } from './server-stream.js';
import { checkParams } from './validate.js';
import { requireSameMajor } from './version.js';
import { errorToWire } from './wire-error.js';

/** Where a session's frames go. */
export interface FramePort {
  send(frame: Uint8Array): void;
  /** Ends the connection after what was sent; `reason` was already told to the client where it concerns it. */
  close(reason: PynqLlmError): void;
}

/** A request that passed every check, on its way to whoever answers it. */
export interface Call<M extends MethodName = MethodName> {
  readonly method: M;
  readonly params: Params<M>;
  readonly role: Role;
  /** The stream of a method that has events. @throws Error for a method without */
  stream(): ServerStream;
}

export interface ServerSessionOptions {
  readonly port: FramePort;
  readonly clock: Clock;
  /** Lets the client in. @throws PynqLlmError to refuse it, which ends the session */
  readonly hello: (params: Params<'hello'>) => HelloResult;
  /** Answers a request; throws or rejects with the error to reply. */
  readonly handle: (call: Call) => unknown;
  /** Code for what is thrown and is no PynqLlmError. */
  readonly internalCode: ErrorCodeName;
  /** Told of every unexpected error, with its stack. */
  readonly onInternalError: (error: unknown, method: MethodName) => void;
  /** Bytes of requests under way, added up over the sessions that share it. */
  readonly all: { inFlightBytes: number };
  /** Told once when the session has ended, whoever ended it. */
  readonly onClose: () => void;
}

/**
 * The agent's side of one connection: frames in, frames out. It lets nothing through that is malformed, out of
 * order, over a limit, or above the client's role.
 */
export class ServerSession {
  readonly #options: ServerSessionOptions;
  readonly #streams = new Map<number, ServerStream>();
  readonly #cancelHelloDeadline: () => void;
  #role: Role | undefined;
  #lastId = -1;
  #inFlight = 0;
  #inFlightBytes = 0;
  #badFrames = 0;
  #badSince = 0;
  #closed = false;

  constructor(options: ServerSessionOptions) {
    this.#options = options;
    this.#cancelHelloDeadline = options.clock.after(HELLO_DEADLINE_MS, () =>
      this.fail(new PynqLlmError('PROTOCOL_HELLO_TIMEOUT', `No hello came within ${HELLO_DEADLINE_MS} ms.`)),
    );
  }

  /** Requests that are not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Takes one frame from the client. Never throws. */
  receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    try {
      const frame = readClientFrame(decodeFrame(bytes));
      if ('credit' in frame) this.#takeCredit(frame);
      else this.#takeRequest(frame, bytes.length);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Tells the client why, and ends the session. */
  fail(error: PynqLlmError): void {
    if (this.#closed) return;
    this.#send({ fatal: error.toWire() });
    this.#end(error);
  }

  /** The connection is gone: ends every stream. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelHelloDeadline();
    for (const stream of [...this.#streams.values()]) stream.closedByClient();
    this.#options.onClose();
  }

  #end(reason: PynqLlmError): void {
    this.close();
    this.#options.port.close(reason);
  }

  #takeRequest(frame: RequestFrame, byteLength: number): void {
    if (frame.id <= this.#lastId)
      throw new PynqLlmError(
        'PROTOCOL_DUPLICATE_ID',
        `Request ${frame.id} came after request ${this.#lastId}.`,
      );
    this.#lastId = frame.id;
    try {
      if (this.#role === undefined || frame.method === 'hello') this.#takeHello(frame);
      else this.#dispatch(frame, this.#role, byteLength);
    } catch (error) {
      this.#replyError(frame.id, error, frame.method);
    }
  }

  #takeHello(frame: RequestFrame): void {
    if (frame.method !== 'hello')
      throw new PynqLlmError('PROTOCOL_OUT_OF_ORDER', `${frame.method.slice(0, 60)} came before hello.`);
    if (this.#role !== undefined) throw new PynqLlmError('PROTOCOL_OUT_OF_ORDER', 'A second hello came.');
    try {
      const params = checkParams('hello', frame.params);
      requireSameMajor(params.protocol, 'client');
      const result = this.#options.hello(params);
      this.#role = result.role;
      this.#cancelHelloDeadline();
      this.#send({ id: frame.id, result });
    } catch (error) {
      this.#replyError(frame.id, error, 'hello');
      this.#end(
        isPynqLlmError(error)
          ? error
          : new PynqLlmError(this.#options.internalCode, 'The hello could not be answered.'),
      );
    }
  }

  #dispatch(frame: RequestFrame, role: Role, byteLength: number): void {
    const { id, method } = frame;
    if (!isMethodName(method))
      throw new PynqLlmError('PROTOCOL_UNKNOWN_METHOD', `There is no method "${method.slice(0, 60)}".`);
    const entry = methodEntry(method);
    if (ROLES.indexOf(role) < ROLES.indexOf(entry.role))
      throw new PynqLlmError(
        'PROTOCOL_ROLE_REQUIRED',
        `${method} needs the role ${entry.role}; this session has ${role}.`,
        {
          context: { method, needed: entry.role, role },
        },
      );
    if (this.#inFlight >= MAX_IN_FLIGHT || this.#inFlightBytes + byteLength > MAX_IN_FLIGHT_BYTES)
      throw new PynqLlmError(
        'PROTOCOL_TOO_MANY_REQUESTS',
        `${this.#inFlight} requests of ${this.#inFlightBytes} bytes are under way; at most ${MAX_IN_FLIGHT} of ${MAX_IN_FLIGHT_BYTES} bytes may be.`,
      );
    const { all } = this.#options;
    if (all.inFlightBytes + byteLength > MAX_IN_FLIGHT_BYTES_OF_ALL)
      throw new PynqLlmError(
        'PROTOCOL_TOO_MANY_REQUESTS',
        `Requests of ${all.inFlightBytes} bytes of all clients are under way; at most ${MAX_IN_FLIGHT_BYTES_OF_ALL} may be.`,
      );
    const params = checkParams(method, frame.params);
    if (method === 'stream.close') {
      this.#closeStream((params as Params<'stream.close'>).stream);
      this.#send({ id, result: {} });
      return;
    }
    const stream = entry.event === undefined ? undefined : this.#openStream(id);

    this.#inFlight++;
    this.#inFlightBytes += byteLength;
    all.inFlightBytes += byteLength;
    const settle = () => {
      this.#inFlight--;
      this.#inFlightBytes -= byteLength;
      all.inFlightBytes -= byteLength;
    };
    const succeed = (result: unknown) => {
      settle();
      this.#send({ id, result });
    };
    const fail = (error: unknown) => {
      settle();
      stream?.end();
      this.#replyError(id, error, method);
    };
    let result: unknown;
    try {
      result = this.#options.handle({
        method,
        params,
        role,
        stream: () => {
          if (stream === undefined) throw new Error(`${method} has no events`);
          return stream;
        },
      });
    } catch (error) {
      fail(error);
      return;
    }
    // A result that is there at once is sent at once: one turn of the microtask queue is saved for register reads.
    if (result instanceof Promise) result.then(succeed, fail);
    else succeed(result);
  }

  #openStream(id: number): ServerStream {
    if (this.#streams.size >= MAX_STREAMS)
      throw new PynqLlmError('PROTOCOL_TOO_MANY_STREAMS', `${this.#streams.size} streams are open.`);
    const stream = new ServerStream(
      id,
      (event) => this.#send(event),
      () => this.#streams.delete(id),
    );
    this.#streams.set(id, stream);
    return stream;
  }

  #closeStream(id: number): void {
    this.#streams.get(id)?.closedByClient();
  }

  /** Credit for a stream that has just ended crosses its last event on the way: that is no fault. */
  #takeCredit(frame: CreditFrame): void {
    if (frame.stream > this.#lastId)
      throw new PynqLlmError(
        'PROTOCOL_OUT_OF_ORDER',
        `Credit came for stream ${frame.stream} before its request.`,
      );
    this.#streams.get(frame.stream)?.grant(frame.credit);
  }

  #replyError(id: number, error: unknown, method: string): void {
    if (!isPynqLlmError(error) && isMethodName(method)) this.#options.onInternalError(error, method);
    this.#send({ id, error: errorToWire(error, this.#options.internalCode) });
  }

  #refuse(error: unknown): void {
    const now = this.#options.clock.now();
    if (now - this.#badSince > BAD_FRAME_WINDOW_MS) {
      this.#badSince = now;
      this.#badFrames = 0;
    }
    if (++this.#badFrames > MAX_BAD_FRAMES) {
      const what = `More than ${MAX_BAD_FRAMES} frames within ${BAD_FRAME_WINDOW_MS} ms were refused.`;
      this.fail(new PynqLlmError('PROTOCOL_TOO_MANY_BAD_FRAMES', what, { cause: error }));
      return;
    }
    this.#send({ refused: errorToWire(error, this.#options.internalCode) });
  }

  #send(frame: ServerFrame): void {
    if (this.#closed) return;
    let bytes: Uint8Array;
    try {
      bytes = encodeFrame(frame);
    } catch (error) {
      // A result too large for a frame is answered with that error; errors are small.
      if (!('result' in frame)) throw error;
      bytes = encodeFrame({ id: frame.id, error: errorToWire(error, this.#options.internalCode) });
    }
    this.#options.port.send(bytes);
  }
}
