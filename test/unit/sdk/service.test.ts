import { expect, it } from 'vitest';
import type { Connection } from '../../../sdk/connection.js';
import { toWireService } from '../../../sdk/service.js';

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=1' };
const to = (...capabilities: string[]) => ({ hello: { capabilities } }) as unknown as Connection;

it('an agent that knows no traces is not sent one', () => {
  const sent = toWireService(to('generate'), { priority: 3, ...TRACE });
  expect(sent).toMatchObject({ priority: 3 });
  expect(Object.keys(sent)).not.toEqual(expect.arrayContaining(['traceparent']));
  expect(toWireService(to('traceparent'), { priority: 3, ...TRACE })).toMatchObject({
    priority: 3,
    ...TRACE,
  });
});

it('a traceparent that is not valid is left out', () => {
  const sent = toWireService(to('traceparent'), { ...TRACE, traceparent: 'ff-x' });
  expect(sent).not.toHaveProperty('traceparent');
  expect(sent).not.toHaveProperty('tracestate');
});
