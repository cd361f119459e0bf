import { describe, expect, it } from 'vitest';
import { LeftRequests } from '../../../fleet/gateway/left-requests.js';
import { pack } from '../../../fleet/messages.js';
import { newCost } from '../../../llm/index.js';
import type { GenerateEvent } from '../../../protocol/index.js';
import { ID, PARAMS } from './request-params.js';

const token = (index: number, id = 10 + index): GenerateEvent => ({
  type: 'token',
  index,
  id,
  text: `${id} `,
  logprob: -1,
});
const done = (tokens: number, reason: 'max-tokens' | 'cancelled' = 'max-tokens'): GenerateEvent => ({
  type: 'done',
  reason,
  text: '',
  tokens,
  timing: { queuedMs: 0, prefillMs: 0, decodeMs: 0, promptTokens: 3, generatedTokens: tokens },
  counters: newCost(),
});

/** The entries of a log, as they come. */
function log() {
  let sequence = 0;
  const entry = (subject: string, message: object) => ({
    sequence: ++sequence,
    subject,
    id: '',
    data: pack(message),
  });
  return {
    term: (term: number) => entry('term', { term }),
    request: (term: number, params: object = PARAMS) =>
      entry(`req.${ID}`, { term, client: ['one'], at: 5, params }),
    given: (board: string, delivery: number, term = 1) => entry(`given.${ID}`, { term, delivery, board }),
    board: (name: string, event: GenerateEvent, delivery = 1, term = 1) =>
      entry(`${event.type === 'token' ? 'tok' : 'end'}.${name}.${ID}`, { term, delivery, event }),
    over: (term: number, event: GenerateEvent) => entry(`over.${ID}`, { term, event }),
  };
}

describe('what a gateway has left', () => {
  it('is its requests with the tokens so far, whichever board told them, at every index', () => {
    const { term, request, given, board } = log();
    const left = new LeftRequests();
    left.take(term(1));
    left.take(request(1));
    for (const [i, name] of ['x', 'y', 'z'].entries()) left.take(given(name, i + 1));
    for (let index = 0; index < 4; index++) {
      expect(left.all[0]).toMatchObject({
        sequence: 2,
        requested: { client: ['one'], at: 5, params: PARAMS },
      });
      expect(left.all[0].reader.ids).toEqual([10, 11, 12, 13].slice(0, index));
      left.take(index % 2 === 0 ? board('x', token(index), 1) : board('y', token(index), 2));
      // Told again by who was superseded.
      left.take(board('z', token(index), 3));
    }
    expect(left.all[0].reader.latest(2).map((event) => event.index)).toEqual([2, 3]);
    expect(left.all[0].reader.end).toBeUndefined();
  });

  it('has nothing of boards that it was not given to, nor of other deliveries than theirs', () => {
    const { term, request, given, board } = log();
    const differences: unknown[] = [];
    const left = new LeftRequests((...difference) => differences.push(difference));
    for (const entry of [term(1), request(1), given('x', 1), given('y', 2)]) left.take(entry);
    left.take(board('x', token(0), 1));
    // One that never had it, one that lost it and says it is the next one's, and one of another term.
    left.take(board('stranger', token(1, 99), 1));
    left.take(board('x', token(1, 99), 2));
    left.take(board('y', token(1, 99), 2, 7));
    left.take(board('stranger', done(1), 2));
    expect(left.all[0].reader.ids).toEqual([10]);
    expect(left.all[0].reader.end).toBeUndefined();
    left.take(board('y', token(1), 2));
    expect(left.all[0].reader.ids).toEqual([10, 11]);
    expect(differences).toEqual([]);
  });

  it('was given to nobody by a gateway that led no more', () => {
    const { term, request, given, board } = log();
    const left = new LeftRequests();
    for (const entry of [term(1), request(1), term(3), given('x', 1, 1), given('y', 1, 3)]) left.take(entry);
    left.take(board('x', token(0, 99), 1, 1));
    expect(left.all[0].reader.ids).toEqual([]);
    left.take(board('y', token(0), 1, 3));
    expect(left.all[0].reader.ids).toEqual([10]);
  });

  it('has ended where a board computed all of it, not where a board was stopped or failed', () => {
    const { request, given, board } = log();
    const left = new LeftRequests();
    for (const entry of [request(1), given('x', 1), given('y', 2)]) left.take(entry);
    left.take(board('x', token(0)));
    left.take(board('x', done(1, 'cancelled')));
    left.take(
      board('x', { type: 'failed', error: { code: 'AGENT_CLOSING', message: 'it ends', context: {} } }),
    );
    expect(left.all[0].reader.end).toBeUndefined();
    left.take(board('y', done(2), 2));
    expect(left.all[0].reader.end).toBeUndefined();
    left.take(board('y', token(1), 2));
    expect(left.all[0].reader.end).toMatchObject({ reason: 'max-tokens', tokens: 2 });
  });

  it('is over where its gateway said so, and not where that led no more', () => {
    const { term, request, given, over, board } = log();
    const left = new LeftRequests();
    left.take(term(1));
    left.take(request(1));
    left.take(given('x', 1));
    left.take(term(3));
    left.take(over(1, done(0, 'cancelled')));
    expect(left.all[0].over).toBeUndefined();
    left.take(over(3, done(0, 'cancelled')));
    expect(left.all[0].over).toMatchObject({ reason: 'cancelled' });
    left.take(board('x', token(0)));
    expect(left.all[0].reader.next).toBe(0);
  });

  it('counts a request that was refused and asked for again as another one', () => {
    const { request, given, over, board } = log();
    const left = new LeftRequests();
    left.take(request(1));
    left.take(given('x', 1));
    left.take(
      over(1, { type: 'failed', error: { code: 'LLM_OVERLOADED', message: 'too many', context: {} } }),
    );
    left.take(request(1));
    // Of the first one.
    left.take(board('x', token(0), 1));
    left.take(given('x', 2));
    expect(left.all[0].reader.next).toBe(0);
    left.take(board('x', token(0), 2));
    expect(left.all).toHaveLength(1);
    expect(left.all[0]).toMatchObject({ sequence: 4, over: undefined });
    expect(left.all[0].reader.next).toBe(1);
  });

  it('is the latest of an id, also where nobody could write down that the one before was not taken', () => {
    const { request, given, board } = log();
    const left = new LeftRequests();
    const other = { ...PARAMS, prompt: { tokens: [7, 8] } };
    left.take(request(2));
    left.take(request(2, other));
    left.take(given('x', 1, 2));
    left.take(board('x', token(0), 1, 2));
    // Of a gateway that led before, and does not know of the one that does.
    left.take(request(1));
    expect(left.all).toHaveLength(1);
    expect(left.all[0]).toMatchObject({ sequence: 2, requested: { term: 2, params: other } });
    expect(left.all[0].reader.next).toBe(1);
  });

  it('goes on behind the tokens that the client gave, and tells of boards that do not agree', () => {
    const { request, given, board } = log();
    const differences: unknown[] = [];
    const left = new LeftRequests((generation, { index, field }) =>
      differences.push([generation, index, field]),
    );
    left.take(request(1, { ...PARAMS, continueFrom: [10, 11] }));
    left.take(given('x', 1));
    left.take(given('y', 2));
    left.take(board('x', token(2)));
    left.take(board('y', token(2, 99), 2));
    expect(left.all[0].reader.ids).toEqual([10, 11, 12]);
    expect(differences).toEqual([[ID, 2, 'id']]);
  });

  it('refuses a request whose prompt is not tokens', () => {
    const { request } = log();
    const left = new LeftRequests();
    expect(() => left.take(request(1, { ...PARAMS, prompt: { text: 'once' } }))).toThrow(
      expect.objectContaining({ code: 'FLEET_BAD_MESSAGE' }),
    );
    expect(left.all).toEqual([]);
  });
});
