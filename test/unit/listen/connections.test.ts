import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Connections } from '../../../listen/connections.js';
import { TestClock } from '../protocol/test-clock.js';

/** What Connections uses of a socket. */
class FakeSocket extends EventEmitter {
  isDestroyed = false;
  isServed = false;

  constructor(
    readonly remoteAddress: string | undefined,
    readonly remotePort: number | undefined,
  ) {
    super();
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.emit('close');
  }
}

function listening() {
  const clock = new TestClock();
  const sut = new Connections(clock);
  let port = 1;
  /** @param address undefined for a Unix socket */
  const connect = (address: string | undefined, count = 1): FakeSocket[] =>
    Array.from({ length: count }, () => {
      const socket = new FakeSocket(address, address === undefined ? undefined : port++);
      sut.enter(socket as unknown as Socket, () => {
        socket.isServed = true;
      });
      return socket;
    });
  const know = (socket: FakeSocket, kind: 'session' | 'http', share = 'one') =>
    sut.know(socket as unknown as Socket, kind, share);
  return { clock, sut, connect, know };
}

const served = (sockets: readonly FakeSocket[]) => sockets.filter((one) => one.isServed).length;
const open = (sockets: readonly FakeSocket[]) => sockets.filter((one) => !one.isDestroyed).length;

describe('connections that are not known yet', () => {
  it('are four from one address and sixteen in all; those over it are closed while the others stay', () => {
    const { clock, connect } = listening();
    const first = connect('10.0.0.1', 5);
    const others = ['10.0.0.2', '10.0.0.3', '10.0.0.4'].flatMap((address) => connect(address, 4));
    const last = connect('10.0.0.5');
    expect([served(first), served(others), served(last)]).toEqual([4, 12, 0]);
    clock.advance(250);
    expect([open(first), open(others), open(last)]).toEqual([4, 12, 0]);
  });

  it('count by whole addresses, also of IPv6: one neighbour does not keep out all of its network', () => {
    const { connect } = listening();
    expect(served(['2001:db8::1', '2001:db8::2'].flatMap((address) => connect(address, 6)))).toBe(8);
    expect(served(['::ffff:10.0.0.1', '10.0.0.1'].flatMap((address) => connect(address, 3)))).toBe(4);
  });

  it('have no address on a Unix socket: sixteen', () => {
    const { connect } = listening();
    expect(served(connect(undefined, 20))).toBe(16);
  });

  it('end when they say nothing, and make room for others', () => {
    const { clock, connect } = listening();
    const silent = connect('10.0.0.1', 4);
    clock.advance(10_000);
    expect(open(silent)).toBe(4);
    clock.advance(500);
    expect(open(silent)).toBe(0);
    expect(served(connect('10.0.0.1'))).toBe(1);
  });

  it('wait unread for a place as long as it goes on, so that many at once get one after the other', () => {
    const { clock, connect, know } = listening();
    const many = connect('10.0.0.1', 100);
    for (let i = 0; i < 100; i++) {
      expect(served(many)).toBe(Math.min(100, 4 + i));
      clock.advance(200);
      know(many[i], 'http');
    }
    expect(open(many)).toBe(100);
  });

  it('are not closed because the process was busy', () => {
    const { clock, connect } = listening();
    const [, , , , fifth] = connect('10.0.0.1', 5);
    clock.sleep(5_000);
    clock.advance(0);
    expect(fifth.isDestroyed).toBe(false);
    clock.advance(250);
    expect(fifth.isDestroyed).toBe(true);
  });

  it('do not wait in any number', () => {
    const { connect } = listening();
    expect(open(connect('10.0.0.1', 1_000))).toBe(4 + 128);
    expect(open(connect('10.0.0.2', 10))).toBe(10);
    for (let i = 3; i < 300; i++) connect(`10.0.0.${i}`, 5);
    expect(open(connect('10.0.1.1', 10))).toBe(0);
  });

  it('that went while they waited are never served', () => {
    const { connect } = listening();
    const [first, , , , fifth] = connect('10.0.0.1', 5);
    fifth.destroy();
    first.destroy();
    expect(fifth.isServed).toBe(false);
  });

  it('may fail at any time without ending the process', () => {
    const { connect } = listening();
    const [socket] = connect('10.0.0.1');
    socket.destroy();
    expect(() => socket.emit('error', new Error('ECONNRESET'))).not.toThrow();
  });
});

describe('known connections', () => {
  it('have places of their own: the addresses that they share count no more', () => {
    const { clock, connect, know } = listening();
    for (let i = 0; i < 64; i++) know(connect('10.0.0.1')[0], 'session');
    const silent = connect('10.0.0.1', 8);
    clock.advance(60_000);
    expect(open(silent)).toBe(0);
    const [one] = connect('10.0.0.1');
    expect(() => know(one, 'session')).toThrow(/AGENT_TOO_MANY_SESSIONS/);
    know(one, 'http');
  });

  it('are 128 of one client with requests, and 256 in all', () => {
    const { connect, know } = listening();
    const add = (share: string, count: number) => {
      let added = 0;
      try {
        for (; added < count; added++) know(connect(`10.0.0.${added % 250}`)[0], 'http', share);
      } catch {
        // Full.
      }
      return added;
    };
    expect(add('greedy', 200)).toBe(128);
    expect(add('modest', 100)).toBe(100);
    expect(add('late', 100)).toBe(28);
  });

  it('are found by their two ends where another object carries the data, as with TLS', () => {
    const { clock, sut, connect } = listening();
    const [raw] = connect('10.0.0.1');
    const carrier = new FakeSocket(raw.remoteAddress, raw.remotePort) as unknown as Socket;
    expect(sut.isKnown(carrier)).toBe(false);
    sut.know(carrier, 'session', 'one');
    expect(sut.isKnown(carrier)).toBe(true);
    clock.advance(60_000);
    expect(raw.isDestroyed).toBe(false);
  });
});
