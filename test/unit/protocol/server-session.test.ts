import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import {
  type Call,
  decodeFrame,
  encodeFrame,
  HELLO_DEADLINE_MS,
  MAX_BAD_FRAMES,
  MAX_IN_FLIGHT,
  MAX_IN_FLIGHT_BYTES_OF_ALL,
  MAX_PIECE_BYTES,
  MAX_STREAMS,
  PROTOCOL_VERSION,
  type Role,
  ServerSession,
} from '../../../protocol/index.js';
import { TestClock } from './test-clock.js';

interface Frame {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly context: Record<string, unknown>;
  };
  readonly refused?: { readonly code: string };
  readonly fatal?: { readonly code: string };
  readonly stream?: number;
  readonly seq?: number;
  readonly event?: unknown;
}

let clock: TestClock;
let sent: Frame[];
let calls: Call[];
let closed: string | undefined;
let ended: number;
let role: Role;
let handle: (call: Call) => unknown;
let session: ServerSession;
let all: { inFlightBytes: number };

beforeEach(() => {
  clock = new TestClock();
  sent = [];
  calls = [];
  closed = undefined;
  ended = 0;
  role = 'admin';
  handle = () => ({});
  all = { inFlightBytes: 0 };
  session = new ServerSession({
    clock,
    port: {
      send: (frame) => sent.push(decodeFrame(frame) as Frame),
      close: (reason) => {
        closed = reason.code;
      },
    },
    hello: ({ token }) => {
      if (token === 'wrong') throw new PynqLlmError('AGENT_UNAUTHORISED', 'The token is wrong.');
      return { protocol: PROTOCOL_VERSION, agent: '1', capabilities: [], role, heartbeatMs: 1000 };
    },
    handle: (call) => {
      calls.push(call);
      return handle(call);
    },
    all,
    internalCode: 'AGENT_INTERNAL',
    onInternalError: () => {},
    onClose: () => ended++,
  });
});

const give = (frame: object) => session.receive(encodeFrame(frame));
const request = (id: number, method: string, params: object = {}) => give({ id, method, params });
const hello = (protocol = PROTOCOL_VERSION, token?: string) =>
  request(0, 'hello', { protocol, client: 'test', token });
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('a server session at hello', () => {
  it('answers with version, role and capabilities', () => {
    hello();
    expect(sent).toEqual([
      { id: 0, result: expect.objectContaining({ role: 'admin', protocol: PROTOCOL_VERSION }) },
    ]);
  });

  it('refuses another major version, names both versions and says which side to upgrade', () => {
    hello({ major: PROTOCOL_VERSION.major + 1, minor: 3 });
    expect(sent[0].error?.code).toBe('PROTOCOL_VERSION_MISMATCH');
    expect(sent[0].error?.message).toContain(`${PROTOCOL_VERSION.major + 1}.3`);
    expect(sent[0].error?.message).toContain(`${PROTOCOL_VERSION.major}.${PROTOCOL_VERSION.minor}`);
    expect(sent[0].error?.context.upgrade).toBe('agent');
    expect(closed).toBe('PROTOCOL_VERSION_MISMATCH');
  });

  it('refuses a client of protocol 1.3, which is told to upgrade', () => {
    hello({ major: 1, minor: 3 });
    expect(sent[0].error).toMatchObject({
      code: 'PROTOCOL_VERSION_MISMATCH',
      message: expect.stringContaining('1.3'),
      context: { theirs: '1.3', upgrade: 'client' },
    });
    expect(closed).toBe('PROTOCOL_VERSION_MISMATCH');
  });

  it('takes another minor version, with fields that it does not know', () => {
    request(0, 'hello', {
      protocol: { major: PROTOCOL_VERSION.major, minor: 99 },
      client: 'test',
      novelty: 1,
    });
    expect(sent[0].result).toBeDefined();
  });

  it('ends the session of a client that is not let in', () => {
    hello(PROTOCOL_VERSION, 'wrong');
    expect(sent[0].error?.code).toBe('AGENT_UNAUTHORISED');
    expect(closed).toBe('AGENT_UNAUTHORISED');
  });

  it('answers nothing before it', () => {
    request(0, 'board.health');
    expect(sent[0].error?.code).toBe('PROTOCOL_OUT_OF_ORDER');
    expect(calls).toEqual([]);
  });

  it('refuses a second one', () => {
    hello();
    request(1, 'hello', { protocol: PROTOCOL_VERSION, client: 'again' });
    expect(sent[1].error?.code).toBe('PROTOCOL_OUT_OF_ORDER');
  });

  it('ends a connection that stays silent', () => {
    clock.advance(HELLO_DEADLINE_MS);
    expect(sent).toEqual([{ fatal: expect.objectContaining({ code: 'PROTOCOL_HELLO_TIMEOUT' }) }]);
    expect(closed).toBe('PROTOCOL_HELLO_TIMEOUT');
  });

  it('has no deadline any more after it', () => {
    hello();
    clock.advance(10 * HELLO_DEADLINE_MS);
    expect(closed).toBeUndefined();
  });
});

describe('a server session', () => {
  beforeEach(() => {
    hello();
    sent.length = 0;
  });

  it('answers a request with the result, also a later one', async () => {
    handle = ({ method }) => (method === 'board.health' ? Promise.resolve({ late: true }) : { early: true });
    request(1, 'board.health');
    request(2, 'models.list');
    await settle();
    expect(sent).toEqual([
      { id: 2, result: { early: true } },
      { id: 1, result: { late: true } },
    ]);
  });

  it('answers with the error that was thrown', () => {
    handle = () => {
      throw new PynqLlmError('AGENT_MODEL_UNKNOWN', 'There is none.', { context: { model: 'x' } });
    };
    request(1, 'models.list');
    expect(sent[0].error).toMatchObject({ code: 'AGENT_MODEL_UNKNOWN', context: { model: 'x' } });
  });

  it('hides the stack of an error that is not its own', () => {
    handle = () => {
      throw new TypeError('undefined is not a function');
    };
    request(1, 'models.list');
    expect(sent[0].error?.code).toBe('AGENT_INTERNAL');
    expect(JSON.stringify(sent[0])).not.toContain('.ts:');
  });

  it('refuses a method that does not exist', () => {
    request(1, 'board.explode');
    expect(sent[0].error?.code).toBe('PROTOCOL_UNKNOWN_METHOD');
  });

  it.each(['toString', '__defineGetter__', 'hasOwnProperty'])(
    'does not take %s of an object for a method',
    (name) => {
      request(1, name);
      expect(sent[0].error?.code).toBe('PROTOCOL_UNKNOWN_METHOD');
    },
  );

  it('refuses parameters that the schema does not know, and names them', () => {
    request(1, 'registers.read', { registers: ['a'], surprise: 1 });
    expect(sent[0].error?.code).toBe('PROTOCOL_BAD_PARAMS');
    expect(sent[0].error?.message).toContain('surprise');
    expect(calls).toEqual([]);
  });

  it.each([
    ['read', 'generate.cancel', 'PROTOCOL_ROLE_REQUIRED'],
    ['read', 'registers.write', 'PROTOCOL_ROLE_REQUIRED'],
    ['infer', 'registers.write', 'PROTOCOL_ROLE_REQUIRED'],
    ['infer', 'generate.cancel', 'PROTOCOL_BAD_PARAMS'],
    ['admin', 'registers.write', 'PROTOCOL_BAD_PARAMS'],
  ] as const)('answers a client of role %s that calls %s with %s', (as, method, code) => {
    role = as;
    session = new ServerSession({
      clock,
      port: { send: (frame) => sent.push(decodeFrame(frame) as Frame), close: () => {} },
      hello: () => ({ protocol: PROTOCOL_VERSION, agent: '1', capabilities: [], role, heartbeatMs: 1 }),
      handle: () => ({}),
      all: { inFlightBytes: 0 },
      internalCode: 'AGENT_INTERNAL',
      onInternalError: () => {},
      onClose: () => {},
    });
    hello();
    request(1, method);
    expect(sent.at(-1)?.error?.code).toBe(code);
  });

  it('refuses an id that is not higher than the last, and goes on', () => {
    request(5, 'models.list');
    request(5, 'models.list');
    request(6, 'models.list');
    expect(sent.map((frame) => frame.refused?.code ?? frame.id)).toEqual([5, 'PROTOCOL_DUPLICATE_ID', 6]);
  });

  it('refuses more requests at a time than the limit', () => {
    handle = () => new Promise(() => {});
    for (let id = 1; id <= MAX_IN_FLIGHT + 1; id++) request(id, 'models.list');
    expect(sent).toEqual([
      { id: MAX_IN_FLIGHT + 1, error: expect.objectContaining({ code: 'PROTOCOL_TOO_MANY_REQUESTS' }) },
    ]);
  });

  it('refuses more bytes of requests at a time than the limit, and takes them again later', async () => {
    let finish = () => {};
    const until = new Promise<object>((resolve) => {
      finish = () => resolve({});
    });
    handle = () => until;
    const data = new Uint8Array(MAX_PIECE_BYTES);
    for (let id = 1; id <= 25; id++) request(id, 'buffers.write', { buffer: 1, offset: 0, data });
    expect(sent.every(({ error }) => error?.code === 'PROTOCOL_TOO_MANY_REQUESTS')).toBe(true);
    expect(sent.length).toBeGreaterThan(0);
    finish();
    await settle();
    sent.length = 0;
    request(26, 'buffers.write', { buffer: 1, offset: 0, data });
    await settle();
    expect(sent).toEqual([{ id: 26, result: {} }]);
  });

  it('refuses a request that would be too much together with those of other sessions', () => {
    handle = () => new Promise(() => {});
    const data = new Uint8Array(MAX_PIECE_BYTES);
    request(1, 'buffers.write', { buffer: 1, offset: 0, data });
    const { inFlightBytes } = all;
    expect(inFlightBytes).toBeGreaterThan(MAX_PIECE_BYTES);
    all.inFlightBytes += MAX_IN_FLIGHT_BYTES_OF_ALL - 2 * inFlightBytes;
    request(2, 'buffers.write', { buffer: 1, offset: 0, data });
    expect(sent).toEqual([]);
    request(3, 'models.list');
    expect(sent).toEqual([{ id: 3, error: expect.objectContaining({ code: 'PROTOCOL_TOO_MANY_REQUESTS' }) }]);
  });

  it('refuses more streams than the limit', () => {
    for (let id = 1; id <= MAX_STREAMS + 1; id++) request(id, 'counters.subscribe');
    expect(sent.at(-1)?.error?.code).toBe('PROTOCOL_TOO_MANY_STREAMS');
    request(MAX_STREAMS + 2, 'stream.close', { stream: 1 });
    request(MAX_STREAMS + 3, 'counters.subscribe');
    expect(sent.at(-1)).toEqual({ id: MAX_STREAMS + 3, result: {} });
  });

  it('ends after too many bad frames in a short time, and says so', () => {
    for (let i = 0; i <= MAX_BAD_FRAMES; i++) session.receive(Uint8Array.of(0xc1));
    expect(sent.at(-1)?.fatal?.code).toBe('PROTOCOL_TOO_MANY_BAD_FRAMES');
    expect(closed).toBe('PROTOCOL_TOO_MANY_BAD_FRAMES');
    expect(ended).toBe(1);
  });

  it('forgives bad frames over a long time', () => {
    for (let i = 0; i < 3 * MAX_BAD_FRAMES; i++) {
      session.receive(Uint8Array.of(0xc1));
      clock.advance(1_000);
    }
    expect(closed).toBeUndefined();
  });

  it('survives any frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (frame) => {
        session.receive(frame);
      }),
      { numRuns: 500 },
    );
    for (const frame of sent) expect(Object.keys(frame)).toHaveLength(frame.id === undefined ? 1 : 2);
  });

  it('answers a result too large for a frame with an error', () => {
    handle = () => ({ data: new Uint8Array(9 * 1024 * 1024) });
    request(1, 'models.list');
    expect(sent[0].error?.code).toBe('PROTOCOL_FRAME_TOO_LARGE');
  });
});

describe('a stream of a server session', () => {
  beforeEach(() => {
    hello();
    request(1, 'counters.subscribe');
    sent.length = 0;
  });

  it('is ready only within the credit', () => {
    const stream = calls[0].stream();
    expect(stream.ready).toBe(false);
    give({ stream: 1, credit: 2 });
    stream.emit('a');
    expect(stream.ready).toBe(true);
    stream.emit('b');
    expect(stream.ready).toBe(false);
    expect(sent.map(({ seq, event }) => [seq, event])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ]);
  });

  it('tells its owner of credit, and of its end with the session', () => {
    const told: string[] = [];
    calls[0].stream().listen(
      () => told.push('credit'),
      () => told.push('closed'),
    );
    give({ stream: 1, credit: 1 });
    session.close();
    expect(told).toEqual(['credit', 'closed']);
  });

  it('refuses credit that goes back', () => {
    give({ stream: 1, credit: 5 });
    give({ stream: 1, credit: 4 });
    expect(sent[0].refused?.code).toBe('PROTOCOL_OUT_OF_ORDER');
  });

  it('refuses credit for a stream that was never opened', () => {
    give({ stream: 77, credit: 4 });
    expect(sent[0].refused?.code).toBe('PROTOCOL_OUT_OF_ORDER');
  });

  it('sends nothing after its end', () => {
    const stream = calls[0].stream();
    request(2, 'stream.close', { stream: 1 });
    stream.emit('late');
    expect(sent).toEqual([{ id: 2, result: {} }]);
  });

  it('takes credit that crosses its end', () => {
    calls[0].stream().end();
    give({ stream: 1, credit: 9 });
    expect(sent).toEqual([]);
  });
});
