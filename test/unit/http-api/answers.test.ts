import { expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { toApiError } from '../../../http-api/api-error.js';
import { toService } from '../../../http-api/choices.js';
import { histogramText } from '../../../http-api/histogram-text.js';

it('overload is a 429 that says when to ask again', () => {
  const error = new PynqLlmError('LLM_OVERLOADED', 'Many wait.', { context: { retryAfterMs: 4_200 } });
  expect(toApiError(error)).toMatchObject({ status: 429, code: 'LLM_OVERLOADED', retryAfterMs: 4_200 });
  const unsure = new PynqLlmError('AGENT_TOO_MANY_SESSIONS', '64 clients are connected.');
  expect(toApiError(unsure)).toMatchObject({ status: 429, retryAfterMs: 1_000 });
});

it('a generation that failed half-way has what was generated in its error', () => {
  const context = { tokens: 2, text: 'One day' };
  const { body, status } = toApiError(new PynqLlmError('DRIVER_DMA_TIMEOUT', 'It hangs.', { context }));
  expect(status).toBe(500);
  expect(body.error).toMatchObject({ code: 'DRIVER_DMA_TIMEOUT', partial_text: 'One day' });
});

it('what nobody expected tells the client nothing of its inside, and is told apart for the log', () => {
  const unexpected = toApiError(new TypeError('secret of the inside'));
  expect(unexpected).toMatchObject({ status: 500, isUnexpected: true });
  expect(JSON.stringify(unexpected.body)).not.toContain('secret');
  expect(toApiError(new PynqLlmError('DRIVER_DMA_TIMEOUT', 'It hangs.')).isUnexpected).toBe(false);
});

it.each([
  [{}, { class: 'interactive', client: ['token', '10.0.0.9'] }],
  [
    { service_tier: 'flex', user: 'ann' },
    { class: 'batch', client: ['token', '10.0.0.9', 'ann'] },
  ],
  [{ service_tier: 'priority' }, { class: 'interactive', priority: 7, client: ['token', '10.0.0.9'] }],
  [
    { priority: 2, deadline_ms: 500, safety_identifier: 'x', user: 'y' },
    { class: 'interactive', priority: 2, deadlineMs: 500, client: ['token', '10.0.0.9', 'x'] },
  ],
] as const)('of a request with %j the service is %j', (request, service) => {
  expect(toService({ model: 'm', ...request }, ['token', '10.0.0.9'])).toEqual(service);
});

it('a histogram is written with cumulative buckets, in seconds', () => {
  const text = histogramText({
    name: 'wait_seconds',
    help: 'A wait',
    scale: 0.001,
    values: { batch: { bounds: [10, 100], counts: [1, 0, 2], sum: 500 } },
  });
  expect(text.split('\n')).toEqual([
    '# HELP wait_seconds A wait',
    '# TYPE wait_seconds histogram',
    'wait_seconds_bucket{class="batch",le="0.01"} 1',
    'wait_seconds_bucket{class="batch",le="0.1"} 1',
    'wait_seconds_bucket{class="batch",le="+Inf"} 3',
    'wait_seconds_sum{class="batch"} 0.5',
    'wait_seconds_count{class="batch"} 3',
    '',
  ]);
});
