import { describe, expect, it } from 'vitest';
import {
  checkParams,
  MAX_TRACESTATE_LENGTH,
  newTraceContext,
  readTraceContext,
  traceIdOf,
} from '../../../protocol/index.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const HEADER = `00-${TRACE}-${SPAN}-01`;

describe('a traceparent', () => {
  it('is taken as it is, flags and all', () => {
    for (const flags of ['00', '01', '03', 'ff'])
      expect(readTraceContext(`00-${TRACE}-${SPAN}-${flags}`)).toEqual({
        traceparent: `00-${TRACE}-${SPAN}-${flags}`,
      });
    expect(readTraceContext(` ${HEADER}\t`)).toEqual({ traceparent: HEADER });
    expect(traceIdOf({ traceparent: HEADER })).toBe(TRACE);
  });

  it.each([
    ['nothing', undefined],
    ['empty', ''],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['more in version 00', `${HEADER}-what`],
    ['a dash at the end', `${HEADER}-`],
    ['capitals', HEADER.toUpperCase()],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['a short trace', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['no flags', `00-${TRACE}-${SPAN}`],
    ['flags that are no digits', `00-${TRACE}-${SPAN}-0g`],
    ['two at once', `${HEADER}, ${HEADER}`],
  ])('is ignored where it is not valid: %s', (_, header) => {
    expect(readTraceContext(header, 'congo=t61rcWkgMzE')).toBeUndefined();
  });

  it('of a later version is read as far as it is known, and passed on as version 00', () => {
    expect(readTraceContext(`cc-${TRACE}-${SPAN}-fd-what-the-future-brings`)).toEqual({
      traceparent: `00-${TRACE}-${SPAN}-01`,
    });
    expect(readTraceContext(`cc-${TRACE}-${SPAN}-01`)).toEqual({ traceparent: HEADER });
    expect(readTraceContext(`cc-${TRACE}-${SPAN}-01.what`)).toBeUndefined();
  });

  it('that begins here is valid, and another one each time', () => {
    const [one, other] = [newTraceContext(), newTraceContext()];
    expect(readTraceContext(one.traceparent)).toEqual(one);
    expect(traceIdOf(one)).not.toBe(traceIdOf(other));
  });
});

describe('a tracestate', () => {
  const stateOf = (text: string) => readTraceContext(HEADER, text)?.tracestate;

  it('is passed on in its order, without white space around its members', () => {
    expect(stateOf('rojo=00f067aa0ba902b7,congo=t61rcWkgMzE')).toBe(
      'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
    );
    expect(stateOf(' a=1 ,\t, tenant@vendor=x y!')).toBe('a=1,tenant@vendor=x y!');
  });

  it.each([
    'no-value',
    'A=1',
    'a=1,a=2',
    'a=b=c',
    'a=\u00e4',
    'a=\u0007',
    Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','),
    '',
  ])('that is not valid is left out, the trace is not: %j', (state) => {
    expect(readTraceContext(HEADER, state)).toEqual({ traceparent: HEADER });
  });

  it('that is too long loses its long members first, then the last ones', () => {
    const long = `long=${'x'.repeat(200)}`;
    const short = (i: number) => `k${i}=${'y'.repeat(60)}`;
    expect(stateOf([long, short(1), long.replace('long', 'longer'), short(2), short(3)].join(','))).toBe(
      [short(1), short(2), short(3)].join(','),
    );
    const kept = stateOf(Array.from({ length: 20 }, (_, i) => short(i)).join(','));
    expect(kept?.startsWith(short(0))).toBe(true);
    expect(kept?.length).toBeLessThanOrEqual(MAX_TRACESTATE_LENGTH);
    expect(`${kept},${short(0)}`.length).toBeGreaterThan(MAX_TRACESTATE_LENGTH);
  });
});

it('on the wire only what is valid is accepted', () => {
  const check = (service: object) =>
    checkParams('generate.start', {
      generation: '0'.repeat(32),
      model: '0'.repeat(64),
      prompt: { text: 'x' },
      sampling: {},
      window: 1,
      service,
    }).service;
  expect(check({ traceparent: HEADER, tracestate: 'a=1' })).toEqual({
    traceparent: HEADER,
    tracestate: 'a=1',
  });
  for (const wrong of [
    { traceparent: `ff-${TRACE}-${SPAN}-01` },
    { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` },
    { tracestate: 'x'.repeat(513) },
    { tracestate: 'a=\n' },
  ])
    expect(() => check(wrong)).toThrow(expect.objectContaining({ code: 'PROTOCOL_BAD_PARAMS' }));
});
