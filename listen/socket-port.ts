import type { WebSocket } from 'ws';
import { PynqLlmError } from '../errors/index.js';
import { type Clock, type FramePort, Heartbeat } from '../protocol/index.js';
import type { MemoryLimit, MemoryUser } from './memory-limit.js';

/** What may wait for a client to read it. Above it nothing more is taken from the client... */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** ...and a client that reads less than this in so long is let go: a byte now and then would hold the memory for ever. */
const LEAST_READ_BYTES = 64 * 1024;
const STALL_MS = 10_000;
const LOOK_MS = 100;
/** How long a client may take to answer the closing of the socket. */
const CLOSE_WAIT_MS = 1_000;

/** A WebSocket as a session sees it: bounded towards a client that does not read, and noticing one that is gone. */
export class SocketPort implements FramePort {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #heartbeat: Heartbeat;
  readonly #waitingOfAll: MemoryLimit;
  readonly #waiting: MemoryUser;
  readonly #onStall: (reason: PynqLlmError) => void;
  #cancelLook: () => void = () => {};
  #paused = false;

  /**
   * @param connection what carries the WebSocket, which counts the bytes that come
   * @param waitingOfAll what waits for all clients
   * @param onStall told when the client has not read for too long, or when the most waits for it and all is too much
   */
  constructor(
    socket: WebSocket,
    connection: { readonly bytesRead: number },
    clock: Clock,
    waitingOfAll: MemoryLimit,
    onStall: (reason: PynqLlmError) => void,
  ) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onStall = onStall;
    this.#waitingOfAll = waitingOfAll;
    this.#waiting = {
      bytes: () => socket.bufferedAmount,
      end: (bytes) => onStall(stalled(`${bytes} bytes wait, the most of all clients, and all is too much.`)),
    };
    waitingOfAll.add(this.#waiting);
    this.#heartbeat = new Heartbeat(clock, {
      beat: () => socket.ping(),
      onSilence: () => socket.terminate(),
      received: () => connection.bytesRead,
    });
    socket.on('ping', () => this.heard());
    socket.on('pong', () => this.heard());
    socket.on('close', () => {
      this.#heartbeat.stop();
      this.#cancelLook();
      waitingOfAll.remove(this.#waiting);
    });
  }

  /** Anything came from the client. */
  heard(): void {
    this.#heartbeat.heard();
  }

  send(frame: Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(frame);
    if (!this.#paused && this.#socket.bufferedAmount > MAX_WAITING_BYTES) this.#pause();
    this.#waitingOfAll.check(this.#waiting);
  }

  close(reason: PynqLlmError): void {
    // A close reason holds at most 123 bytes; the whole of it went as the last frame.
    this.#socket.close(1008, reason.code);
    this.#clock.after(CLOSE_WAIT_MS, () => this.#socket.terminate());
  }

  #pause(): void {
    this.#paused = true;
    this.#socket.pause();
    this.#look(this.#socket.bufferedAmount, this.#clock.now());
  }

  /** @param before what waited at the time `since` */
  #look(before: number, since: number): void {
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      const waiting = this.#socket.bufferedAmount;
      const now = this.#clock.now();
      if (waiting <= MAX_WAITING_BYTES / 2) {
        this.#paused = false;
        this.#socket.resume();
      } else if (waiting <= before - LEAST_READ_BYTES) {
        // It reads: its pongs are not heard only because nothing is taken from it.
        this.heard();
        this.#look(waiting, now);
      } else if (now - since < STALL_MS) this.#look(Math.max(before, waiting), since);
      else
        this.#onStall(
          stalled(
            `${waiting} bytes wait, of which the client read less than ${LEAST_READ_BYTES} in ${STALL_MS} ms.`,
          ),
        );
    });
  }
}

function stalled(what: string): PynqLlmError {
  return new PynqLlmError('AGENT_CLIENT_STALLED', what);
}
