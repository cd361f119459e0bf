import { describe, expect, it } from 'vitest';
import { GenerationRegistry, type TokenSource } from '../../../agent/session/generation-registry.js';
import { PynqLlmError } from '../../../errors/index.js';
import type { EventFrame } from '../../../protocol/frames.js';
import type { GenerateEvent, TokenEvent } from '../../../protocol/index.js';
import { ServerStream } from '../../../protocol/server-stream.js';
import { TestClock } from '../protocol/test-clock.js';

const ID = '0123456789abcdef0123456789abcdef';
const MODEL = 'a'.repeat(64);
const UNREAD_MS = 600_000;

const token = (index: number): TokenEvent => ({ type: 'token', index, id: 1, text: 'a', logprob: -1 });

/** A registry before a device that only notes what it is told. */
function registry() {
  const clock = new TestClock();
  const told: string[] = [];
  const device: TokenSource = {
    grant: (id, limit) => told.push(`grant ${id === ID} ${limit}`),
    cancel: (id) => told.push(`cancel ${id === ID}`),
  };
  const sut = new GenerationRegistry(clock, () => device);
  const stream = (id: number) => {
    const events: GenerateEvent[] = [];
    const server = new ServerStream(
      id,
      (frame: EventFrame) => events.push(frame.event as GenerateEvent),
      () => {},
    );
    return { server, events };
  };
  return { clock, told, sut, stream };
}

describe('a generation whose client is connected', () => {
  it('but reads nothing for ten minutes is cancelled, and the client told', () => {
    const { clock, told, sut, stream } = registry();
    const { server, events } = stream(1);
    sut.add(ID, MODEL, 2, server);
    server.grant(2);
    for (const index of [0, 1]) sut.take(ID, token(index));
    clock.advance(UNREAD_MS - 1);
    expect(told).not.toContain('cancel true');
    clock.advance(1);
    expect(told.at(-1)).toBe('cancel true');
    expect(events.slice(2)).toMatchObject([{ type: 'failed', error: { code: 'AGENT_CLIENT_STALLED' } }]);
    expect(sut.running).toBe(0);
  });

  it('and never asked for a token is cancelled too', () => {
    const { clock, sut, stream } = registry();
    const { server, events } = stream(1);
    sut.add(ID, MODEL, 2, server);
    clock.advance(UNREAD_MS);
    expect(events).toMatchObject([{ type: 'failed', error: { code: 'AGENT_CLIENT_STALLED' } }]);
  });

  it('and waits for the device is never cancelled for that', () => {
    const { clock, told, sut, stream } = registry();
    const { server, events } = stream(1);
    sut.add(ID, MODEL, 2, server);
    server.grant(1);
    clock.advance(10 * UNREAD_MS);
    sut.take(ID, token(0));
    clock.advance(UNREAD_MS - 1);
    server.grant(2);
    clock.advance(10 * UNREAD_MS);
    expect(told).not.toContain('cancel true');
    expect(events).toHaveLength(1);
  });

  it('is told once how it ended, whatever its worker says afterwards', () => {
    const { clock, sut, stream } = registry();
    const { server, events } = stream(1);
    sut.add(ID, MODEL, 2, server);
    clock.advance(UNREAD_MS);
    sut.take(ID, { type: 'failed', error: new PynqLlmError('AGENT_CLOSING', 'Late.').toWire() });
    expect(events).toHaveLength(1);
  });
});

describe('a generation that goes on after tokens of another agent', () => {
  it('numbers credit, acknowledgements and resumption by the whole generation', () => {
    const { told, sut, stream } = registry();
    const [first, second] = [stream(1), stream(2)];
    sut.add(ID, MODEL, 2, first.server, 7);
    expect(() => sut.resume(ID, 6, stream(3).server)).toThrow(/Tokens 7 to 7/);
    first.server.grant(2);
    expect(told.at(-1)).toBe('grant true 9');
    for (const index of [7, 8]) sut.take(ID, token(index));
    first.server.grant(3);
    expect(told.at(-1)).toBe('grant true 10');
    first.server.closedByClient();
    expect(() => sut.resume(ID, 7, stream(4).server)).toThrow(/Tokens 8 to 9/);
    sut.resume(ID, 8, second.server);
    second.server.grant(2);
    expect(second.events).toEqual([token(8)]);
    expect(told.at(-1)).toBe('grant true 10');
  });
});

describe('a generation of a host that is gone', () => {
  const kept = [token(5), token(6), token(7)];

  it('is resumed at any token that its client may lack, and asks for nothing before', () => {
    for (const next of [5, 6, 7, 8]) {
      const { told, sut, stream } = registry();
      const { server, events } = stream(1);
      sut.restore(ID, MODEL, 3, { next: 8, kept, last: undefined });
      expect([told, sut.running]).toEqual([[], 1]);
      expect(() => sut.resume(ID, 4, stream(2).server)).toThrow(/Tokens 5 to 8/);
      expect(() => sut.resume(ID, 9, stream(3).server)).toThrow(/Tokens 5 to 8/);
      sut.resume(ID, next, server);
      server.grant(3);
      expect(events).toEqual(kept.slice(next - 5));
      expect(told.at(-1)).toBe(`grant true ${next + 3}`);
      sut.take(ID, token(8));
      expect(events).toHaveLength(Math.min(3, 9 - next));
    }
  });

  it('gives the rest also where it has ended', () => {
    const { sut, stream } = registry();
    const { server, events } = stream(1);
    const last = { type: 'failed', error: new PynqLlmError('AGENT_CLOSING', 'It ends.').toWire() } as const;
    sut.restore(ID, MODEL, 3, { next: 8, kept, last });
    expect(sut.running).toBe(0);
    sut.resume(ID, 6, server);
    server.grant(3);
    expect(events).toEqual([token(6), token(7), last]);
  });

  it('is given up where nobody resumes it', () => {
    const { clock, told, sut, stream } = registry();
    sut.restore(ID, MODEL, 3, { next: 8, kept, last: undefined });
    clock.advance(29_999);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told).toEqual(['cancel true']);
    expect(() => sut.resume(ID, 8, stream(1).server)).toThrow(/no generation/);
  });
});

describe('a generation whose start is refused', () => {
  const reason = new PynqLlmError('AGENT_MODEL_NOT_LOADED', 'It is not.');

  it('tells a client that came back meanwhile, which waits on another stream', () => {
    const { sut, stream } = registry();
    const [first, second] = [stream(1), stream(2)];
    sut.add(ID, MODEL, 2, first.server);
    first.server.closedByClient();
    sut.resume(ID, 0, second.server);
    sut.refuse(ID, first.server, reason);
    expect(second.events).toMatchObject([{ type: 'failed', error: { code: 'AGENT_MODEL_NOT_LOADED' } }]);
    expect(second.server.isOpen).toBe(false);
    expect(() => sut.resume(ID, 0, stream(3).server)).toThrow('AGENT_GENERATION_UNKNOWN');
  });

  it('leaves it to the reply where the client still waits for that', () => {
    const { sut, stream } = registry();
    const first = stream(1);
    sut.add(ID, MODEL, 2, first.server);
    sut.refuse(ID, first.server, reason);
    expect(first.events).toEqual([]);
    expect(sut.running).toBe(0);
  });

  it('is forgotten where the client is gone', () => {
    const { clock, told, sut, stream } = registry();
    const first = stream(1);
    sut.add(ID, MODEL, 2, first.server);
    first.server.closedByClient();
    sut.refuse(ID, first.server, reason);
    clock.advance(60_000);
    expect(told.filter((one) => one.startsWith('cancel'))).toEqual([]);
  });
});
