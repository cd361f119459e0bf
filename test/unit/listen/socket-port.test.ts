import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { MemoryLimit } from '../../../listen/memory-limit.js';
import { SocketPort } from '../../../listen/socket-port.js';
import { TestClock } from '../protocol/test-clock.js';

const MIB = 1024 * 1024;

/** What a SocketPort uses of a WebSocket whose peer reads only when the test says so. */
class SlowSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  isPaused = false;
  pings = 0;
  terminated = false;
  send(frame: Uint8Array): void {
    this.bufferedAmount += frame.length;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  ping(): void {
    this.pings++;
  }
  terminate(): void {
    this.terminated = true;
    this.emit('close');
  }
}

function port() {
  const clock = new TestClock();
  const socket = new SlowSocket();
  const stalls: string[] = [];
  const connection = { bytesRead: 0 };
  const webSocket = socket as unknown as WebSocket;
  const sut = new SocketPort(webSocket, connection, clock, new MemoryLimit(48 * MIB), (reason) =>
    stalls.push(reason.code),
  );
  return { clock, socket, connection, stalls, sut };
}

describe('the port of a socket', () => {
  it('takes nothing more from a client that does not read, until it reads', () => {
    const { clock, socket, sut } = port();
    for (let i = 0; i < 17; i++) sut.send(new Uint8Array(MIB));
    expect(socket.isPaused).toBe(true);
    clock.advance(3_000);
    expect(socket.isPaused).toBe(true);
    socket.bufferedAmount = 0;
    clock.advance(200);
    expect(socket.isPaused).toBe(false);
  });

  it('lets a client go that reads nothing for ten seconds', () => {
    const { clock, stalls, sut } = port();
    for (let i = 0; i < 17; i++) sut.send(new Uint8Array(MIB));
    clock.advance(9_900);
    expect(stalls).toEqual([]);
    clock.advance(300);
    expect(stalls).toEqual(['AGENT_CLIENT_STALLED']);
  });

  it('is patient with a client that reads slowly', () => {
    const { clock, socket, stalls, sut } = port();
    for (let i = 0; i < 30; i++) sut.send(new Uint8Array(MIB));
    for (let i = 0; i < 20; i++) {
      clock.advance(5_000);
      sut.heard();
      socket.bufferedAmount -= MIB / 2;
    }
    expect(stalls).toEqual([]);
  });

  it('does not take a client for gone whose pongs wait behind what it still reads', () => {
    const { clock, socket, stalls, sut } = port();
    for (let i = 0; i < 30; i++) sut.send(new Uint8Array(MIB));
    for (let i = 0; i < 20; i++) {
      clock.advance(5_000);
      socket.bufferedAmount -= MIB / 2;
    }
    expect([socket.isPaused, socket.terminated, stalls]).toEqual([true, false, []]);
  });

  it('lets a client go that reads a byte now and then', () => {
    const { clock, socket, stalls, sut } = port();
    for (let i = 0; i < 17; i++) sut.send(new Uint8Array(MIB));
    for (let i = 0; i < 11; i++) {
      clock.advance(1_000);
      sut.heard();
      socket.bufferedAmount -= 1;
    }
    expect(stalls).toEqual(['AGENT_CLIENT_STALLED']);
  });

  it('keeps a connection whose slow line is taken up by a frame that has not come whole', () => {
    const { clock, socket, connection } = port();
    for (let i = 0; i < 20; i++) {
      connection.bytesRead += 200_000;
      clock.advance(10_000);
    }
    expect(socket.terminated).toBe(false);
  });

  it('ends a connection whose other side answers no ping', () => {
    const { clock, socket, sut } = port();
    clock.advance(25_000);
    expect(socket.pings).toBe(2);
    sut.heard();
    clock.advance(30_000);
    expect(socket.terminated).toBe(false);
    clock.advance(20_000);
    expect(socket.terminated).toBe(true);
  });
});
