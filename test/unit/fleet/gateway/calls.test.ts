import { describe, expect, it } from 'vitest';
import { InProcessBroker } from '../../../../bus/index.js';
import { PynqLlmError } from '../../../../errors/index.js';
import type { Boards } from '../../../../fleet/gateway/boards.js';
import { Calls } from '../../../../fleet/gateway/calls.js';
import { pack } from '../../../../fleet/messages.js';
import { callsOf } from '../../../../fleet/subjects.js';

const TOKENS = { tokens: [1, 2, 3] };
const MODEL = '0'.repeat(64);
const QUESTION = { model: MODEL, text: 'Once' };
/** Nobody waits so long for a board in these tests. */
const WAIT_MS = 60_000;

/** A gateway's calls over a bus on which boards of these names are heard; a test has them answer. */
function fleetOf(...names: string[]) {
  const broker = new InProcessBroker();
  const there = new Set(names);
  let mostMs = 200;
  const boards = {
    with: () => [...there].map((name) => ({ name, owner: name })),
    until: async <T>(look: () => T | undefined, ms: number) => {
      const ends = performance.now() + Math.min(ms, mostMs);
      for (;;) {
        const found = look();
        if (found !== undefined || performance.now() >= ends) {
          waits.push(ms);
          return found;
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    onLoss: () => () => {},
  } as unknown as Boards;
  const waits: number[] = [];
  return {
    calls: new Calls(broker.connect('gateway'), boards, WAIT_MS, 1),
    waits,
    come: (name: string) => there.add(name),
    waitAtMost: (ms: number) => {
      mostMs = ms;
    },
    answer: (name: string, result: () => unknown) =>
      broker.connect(name).answer(callsOf(name), async () => pack({ result: await result() })),
  };
}

describe('a board that answers nonsense', () => {
  it.each<[string, (calls: Calls) => Promise<unknown>]>([
    ['fleet.load', (calls) => calls.load('one', { model: MODEL })],
    ['fleet.watch', (calls) => calls.watch('one', 1_000)],
    ['fleet.check', (calls) => calls.check('one', 1_000)],
    ['models.tokenize', (calls) => calls.ask('one', 'models.tokenize', QUESTION)],
  ])('is named in the error: %s', async (method, ask) => {
    const { calls, answer } = fleetOf('one');
    answer('one', () => ({ attempt: 'many', tokens: 'none', health: 3 }));
    const asked = ask(calls);
    await expect(asked).rejects.toBeInstanceOf(PynqLlmError);
    await expect(asked).rejects.toMatchObject({ code: 'FLEET_BAD_MESSAGE' });
    await expect(asked).rejects.toThrow(`The answer of board one to ${method} cannot be read: `);
  });

  it('leaves the question to another one', async () => {
    const { calls, answer } = fleetOf('one', 'two');
    answer('one', () => ({ tokens: 'none' }));
    answer('two', () => TOKENS);
    for (let i = 0; i < 2; i++)
      expect(await calls.askAny(MODEL, 'models.tokenize', QUESTION)).toEqual(TOKENS);
  });
});

describe('a question that no board can answer', () => {
  const broken = () => {
    throw new PynqLlmError('DRIVER_DMA_TIMEOUT', 'The core did not answer.');
  };

  it('ends after three boards that went away with what a client may ask again after', async () => {
    const { calls, answer } = fleetOf('one', 'two', 'three', 'four');
    for (const name of ['one', 'two', 'three', 'four'])
      answer(name, () => {
        throw new PynqLlmError('AGENT_CLOSING', 'The agent closes.');
      });
    await expect(calls.askAny(MODEL, 'models.tokenize', QUESTION)).rejects.toMatchObject({
      code: 'FLEET_NO_BOARDS',
      cause: { code: 'AGENT_CLOSING' },
    });
  });

  it.each([[['one']], [['one', 'two']]])('ends at once with what the last of %s said', async (names) => {
    const { calls, answer, waits } = fleetOf(...names);
    for (const name of names) answer(name, broken);
    await expect(calls.askAny(MODEL, 'models.tokenize', QUESTION)).rejects.toMatchObject({
      code: 'DRIVER_DMA_TIMEOUT',
      message: expect.stringContaining('The core did not answer.'),
    });
    expect(waits.at(-1)).toBe(0);
  });

  it('waits for another one where the board goes, and says why if none comes', async () => {
    const { calls, answer, come } = fleetOf('one');
    const closing = () => {
      throw new PynqLlmError('AGENT_CLOSING', 'The agent is shutting down.');
    };
    answer('one', closing);
    await expect(calls.askAny(MODEL, 'models.tokenize', QUESTION)).rejects.toMatchObject({
      code: 'FLEET_NO_BOARDS',
      cause: { code: 'AGENT_CLOSING' },
    });
    const asked = calls.askAny(MODEL, 'models.tokenize', QUESTION);
    answer('two', () => TOKENS);
    setTimeout(() => come('two'), 50);
    expect(await asked).toEqual(TOKENS);
  });
});

it('asks boards again that do not hear yet, as after their broker was away', async () => {
  const { calls, answer } = fleetOf('one', 'two');
  const asked = calls.askAny(MODEL, 'models.tokenize', QUESTION);
  let isAnswered = false;
  const settled = () => {
    isAnswered = true;
  };
  asked.then(settled, settled);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(isAnswered).toBe(false);
  answer('two', () => TOKENS);
  expect(await asked).toEqual(TOKENS);
});

it('asks another board as well where one hears and does not answer', async () => {
  const { calls, answer } = fleetOf('one', 'two');
  let heard = 0;
  answer('one', () => {
    heard++;
    return new Promise(() => {});
  });
  answer('two', () => TOKENS);
  const began = performance.now();
  for (let i = 0; i < 2; i++) expect(await calls.askAny(MODEL, 'models.tokenize', QUESTION)).toEqual(TOKENS);
  expect(heard).toBe(1);
  // It would be two minutes.
  expect(performance.now() - began).toBeLessThan(40_000);
});

it('takes the first answer where all are slow, and where the others have failed meanwhile', async () => {
  const { calls, answer } = fleetOf('one', 'two');
  const after = (ms: number, tokens: number[]) => async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { tokens };
  };
  answer('one', after(6_500, [1]));
  answer('two', after(6_500, [2]));
  expect(await calls.askAny(MODEL, 'models.tokenize', QUESTION)).toEqual({ tokens: [1] });
  const other = fleetOf('one', 'two');
  other.waitAtMost(30_000);
  other.answer('one', after(6_500, [1]));
  other.answer('two', () => {
    throw new PynqLlmError('DRIVER_DMA_TIMEOUT', 'The core did not answer.');
  });
  expect(await other.calls.askAny(MODEL, 'models.tokenize', QUESTION)).toEqual({ tokens: [1] });
});
