import { expect, it } from 'vitest';
import { InProcessBroker } from '../../../../bus/index.js';
import type { Boards } from '../../../../fleet/gateway/boards.js';
import { Calls } from '../../../../fleet/gateway/calls.js';
import { pack } from '../../../../fleet/messages.js';
import { callsOf } from '../../../../fleet/subjects.js';

const TOKENS = { tokens: [1, 2, 3] };

it('asks boards again that do not hear yet, as after their broker was away', async () => {
  const broker = new InProcessBroker();
  const bus = broker.connect('gateway');
  const names = ['one', 'two'];
  const boards = {
    with: () => names.map((name) => ({ name, owner: name })),
    until: async (look: () => unknown) => look(),
    onLoss: () => () => {},
  } as unknown as Boards;
  const calls = new Calls(bus, boards, 1_000, 1);
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
