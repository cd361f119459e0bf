import { beforeEach, describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import {
  ClientSession,
  decodeFrame,
  encodeFrame,
  errorFromWire,
  errorToWire,
  PROTOCOL_VERSION,
} from '../../../protocol/index.js';
import { TestClock } from './test-clock.js';

let clock: TestClock;
let sent: { id?: number; method?: string; stream?: number; credit?: number }[];
let ended: string[];
let session: ClientSession;
beforeEach(() => {
  clock = new TestClock();
  sent = [];
  ended = [];
  session = new ClientSession({
    clock,
    send: (frame) => sent.push(decodeFrame(frame) as (typeof sent)[number]),
    onEnd: (reason) => ended.push(reason.code),
  });
});
const give = (frame: object) => session.receive(encodeFrame(frame));
const OPTIONS = { timeoutMs: 1_000 };
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof PynqLlmError ? error.code : String(error)),
  );

describe('a client session', () => {
  it('matches answers to requests in any order', async () => {
    const first = session.request('models.unload', { model: 'a'.repeat(64) }, OPTIONS);
    const second = session.request('registers.read', { registers: ['x'] }, OPTIONS);
    give({ id: 1, result: { values: [5] } });
    give({ id: 0, result: {} });
    expect([await first, await second]).toEqual([{}, { values: [5] }]);
  });

  it('gives the error of the agent, with its code, context and message', async () => {
    const error = new PynqLlmError('AGENT_MODEL_UNKNOWN', 'There is no such model.', {
      context: { model: 'x' },
    });
    const request = session.request('models.list', {}, OPTIONS);
    give({ id: 0, error: error.toWire() });
    await expect(request).rejects.toMatchObject({
      code: error.code,
      message: error.message,
      context: error.context,
    });
  });

  it('refuses the agent of another major version', async () => {
    const hello = session.hello('test', undefined, OPTIONS);
    const protocol = { major: PROTOCOL_VERSION.major + 1, minor: 0 };
    give({ id: 0, result: { protocol, agent: '9', capabilities: [], role: 'admin', heartbeatMs: 1 } });
    await expect(hello).rejects.toMatchObject({
      code: 'PROTOCOL_VERSION_MISMATCH',
      context: { upgrade: 'client' },
    });
  });

  it('gives up a request at its deadline and drops the late answer', async () => {
    const request = codeOf(session.request('models.list', {}, OPTIONS));
    clock.advance(1_000);
    expect(await request).toBe('PROTOCOL_REQUEST_TIMEOUT');
    give({ id: 0, result: { models: [] } });
    expect(ended).toEqual([]);
  });

  it('sends nothing of a request that fails its own checks', async () => {
    expect(await codeOf(session.request('registers.read', { registers: [] }, OPTIONS))).toBe(
      'PROTOCOL_BAD_PARAMS',
    );
    expect(() =>
      session.openStream('generate.resume', { generation: 'x', next: 0 }, () => {}, OPTIONS),
    ).toThrow('PROTOCOL_BAD_PARAMS');
    expect(sent).toEqual([]);
  });

  it('refuses a result that does not match the schema', async () => {
    const request = codeOf(session.request('registers.read', { registers: ['x'] }, OPTIONS));
    give({ id: 0, result: { values: ['5'] } });
    expect(await request).toBe('PROTOCOL_BAD_RESULT');
  });

  it('fails every request when the session ends, and later ones at once', async () => {
    const request = codeOf(session.request('models.list', {}, OPTIONS));
    session.end(new PynqLlmError('PROTOCOL_SESSION_CLOSED', 'Over.'));
    expect(await request).toBe('PROTOCOL_SESSION_CLOSED');
    expect(await codeOf(session.request('models.list', {}, OPTIONS))).toBe('PROTOCOL_SESSION_CLOSED');
    expect(ended).toEqual(['PROTOCOL_SESSION_CLOSED']);
  });

  it.each([
    ['an answer that was never asked for', { id: 5, result: {} }, 'PROTOCOL_OUT_OF_ORDER'],
    ['an event of a stream that was never opened', { stream: 5, seq: 0, event: {} }, 'PROTOCOL_OUT_OF_ORDER'],
    ['a frame that is none', { hello: 1 }, 'PROTOCOL_FRAME_MALFORMED'],
    ['a frame with a field too many', { id: 0, result: {}, more: 1 }, 'PROTOCOL_FRAME_MALFORMED'],
  ])('ends at %s', (_, frame, code) => {
    give(frame);
    expect(ended).toEqual([code]);
  });

  it('ends with the reason that the agent gives', () => {
    give({ fatal: new PynqLlmError('AGENT_CLOSING', 'Bye.').toWire() });
    expect(ended).toEqual(['AGENT_CLOSING']);
  });
});

describe('a stream of a client session', () => {
  const token = (index: number) => ({ type: 'token', index, id: 1, text: 'a', logprob: -1 });
  const open = (onEvent: (event: unknown) => void) => {
    const params = { generation: '0'.repeat(32), next: 0 };
    const stream = session.openStream('generate.resume', params, onEvent, OPTIONS);
    stream.result.catch(() => {});
    return stream;
  };

  it('takes events in order, also before the answer', async () => {
    const events: unknown[] = [];
    const { result, stream } = open((event) => events.push(event));
    stream.grant(8);
    give({ stream: 0, seq: 0, event: token(0) });
    give({ id: 0, result: {} });
    give({ stream: 0, seq: 1, event: token(1) });
    await result;
    expect(events).toEqual([token(0), token(1)]);
    expect(sent[1]).toEqual({ stream: 0, credit: 8 });
  });

  it.each([
    ['an event that is missing', [{ stream: 0, seq: 1, event: token(1) }], 'PROTOCOL_OUT_OF_ORDER'],
    [
      'an event that comes twice',
      [0, 0].map((seq) => ({ stream: 0, seq, event: token(0) })),
      'PROTOCOL_OUT_OF_ORDER',
    ],
    ['an event that is none', [{ stream: 0, seq: 0, event: { type: 'joke' } }], 'PROTOCOL_BAD_RESULT'],
  ])('ends the session at %s', (_, frames, code) => {
    open(() => {});
    for (const frame of frames) give(frame);
    expect(ended).toEqual([code]);
  });

  it('drops events after it was released', () => {
    const events: unknown[] = [];
    open((event) => events.push(event)).release();
    give({ stream: 0, seq: 0, event: token(0) });
    expect([events, ended]).toEqual([[], []]);
  });
});

describe('an error across the wire', () => {
  it.each([
    new PynqLlmError('AGENT_STORE_FULL', 'No room. Not at all.', { context: { free: 0, list: [1, 'a'] } }),
    new PynqLlmError('AGENT_MODEL_BUSY', 'The model is busy.', { remedy: 'Unload the model first.' }),
  ])('stays the same: %s', (error) => {
    const back = errorFromWire(errorToWire(error, 'AGENT_INTERNAL'));
    expect([back.code, back.message, back.context, back.remedy]).toEqual([
      error.code,
      error.message,
      error.context,
      error.remedy,
    ]);
  });

  it('with a code from the future keeps its message', () => {
    const wire = {
      code: 'AGENT_FROM_THE_FUTURE',
      message: '[PL6999 AGENT_FROM_THE_FUTURE] New.',
      context: {},
    };
    expect(errorFromWire(wire)).toMatchObject({
      code: 'PROTOCOL_FOREIGN_ERROR',
      context: { code: wire.code },
    });
    expect(errorFromWire(wire).message).toContain(wire.message);
  });
});
