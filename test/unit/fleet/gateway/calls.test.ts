import { expect, it } from 'vitest';
import { InProcessBroker } from '../../../../bus/index.js';
import type { Boards } from '../../../../fleet/gateway/boards.js';
import { Calls } from '../../../../fleet/gateway/calls.js';
import { pack } from '../../../../fleet/messages.js';
import { callsOf } from '../../../../fleet/subjects.js';

const TOKENS = { tokens: [1, 2, 3] };

/** A gateway's questions to two boards. */
function world() {
  const broker = new InProcessBroker();
  const bus = broker.connect('gateway');
  const names = ['one', 'two'];
  const boards = {
    with: () => names.map((name) => ({ name, owner: name })),
    until: async (look: () => unknown) => look(),
    onLoss: () => () => {},
  } as unknown as Boards;
  const calls = new Calls(bus, boards, 1_000, 1);
  return { broker, calls };
}

it('asks boards again that do not hear yet, as after their broker was away', async () => {
  const { broker, calls } = world();
  const question = { model: '0'.repeat(64), text: 'Once' };
  const asked = calls.askAny(question.model, 'models.tokenize', question);
  let isAnswered = false;
  asked.then(
    () => {
      isAnswered = true;
    },
    () => {
      isAnswered = true;
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(isAnswered).toBe(false);
  broker.connect('two').answer(callsOf('two'), async () => pack({ result: TOKENS }));
  expect(await asked).toEqual(TOKENS);
});

it('asks another board as well where one hears and does not answer', async () => {
  const { broker, calls } = world();
  let heard = 0;
  broker.connect('one').answer(callsOf('one'), () => {
    heard++;
    return new Promise(() => {});
  });
  broker.connect('two').answer(callsOf('two'), async () => pack({ result: TOKENS }));
  const question = { model: '0'.repeat(64), text: 'Once' };
  const began = performance.now();
  for (let i = 0; i < 2; i++)
    expect(await calls.askAny(question.model, 'models.tokenize', question)).toEqual(TOKENS);
  expect(heard).toBe(1);
  // It would be two minutes.
  expect(performance.now() - began).toBeLessThan(40_000);
});

it('takes the first answer where all are slow', async () => {
  const { broker, calls } = world();
  const after = (ms: number, tokens: number[]) => async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return pack({ result: { tokens } });
  };
  broker.connect('one').answer(callsOf('one'), after(6_500, [1]));
  broker.connect('two').answer(callsOf('two'), after(6_500, [2]));
  const question = { model: '0'.repeat(64), text: 'Once' };
  expect(await calls.askAny(question.model, 'models.tokenize', question)).toEqual({ tokens: [1] });
});
