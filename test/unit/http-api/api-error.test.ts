import { expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { toApiError } from '../../../http-api/api-error.js';

const late = (aloneMs: number, others: number) =>
  new PynqLlmError('LLM_PREDICTED_LATE', 'It is likely to take too long.', {
    context: { predictedMs: 9_000, aloneMs, maxPredictedMs: 5_000, others, retryAfterMs: 4_000 },
  });

it.each([
  ['one that is too long alone', 9_000, 3, 1, false],
  ['one behind those of other clients', 2_000, 3, 1, true],
  ['one of four, behind the others of the same request', 2_000, 3, 4, false],
  ['one of four, behind more than those', 2_000, 4, 4, true],
])('an answer that would be silent for too long: %s', (_, aloneMs, others, answers, isWorthRetrying) => {
  expect(toApiError(late(aloneMs, others), answers)).toMatchObject({
    status: 503,
    code: 'LLM_PREDICTED_LATE',
    retryAfterMs: 4_000,
    isWorthRetrying,
  });
});

it.each([
  ['FLEET_STAGE_DRAFT', 400],
  ['FLEET_PLAN_DOES_NOT_FIT', 400],
  ['FLEET_PLAN_TOO_MANY_BOARDS', 400],
  ['FLEET_TENSOR_UNSUPPORTED', 400],
  ['FLEET_TENSOR_DOES_NOT_FIT', 400],
  ['FLEET_TENSOR_DOES_NOT_PAY', 400],
  ['FLEET_LINKS_OFF', 400],
  ['FLEET_NO_PLAN', 503],
] as const)('of a fleet that refuses a model or a draft as it is served, %s is %i', (code, status) => {
  expect(toApiError(new PynqLlmError(code, 'It cannot be.'))).toMatchObject({ status, code });
});
