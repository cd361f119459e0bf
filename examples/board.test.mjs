// A hardware-in-the-loop test: the same assertions on the mock and on a board.
// npx vitest run --root examples, with PYNQ_LLM_DEVICE=ws://BOARD:7787 for a board.
import { fileURLToPath } from 'node:url';
import { connect } from 'pynq-llm';
import { openMock } from 'pynq-llm/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const device = process.env.PYNQ_LLM_DEVICE ?? 'mock:';
const file = fileURLToPath(new URL('../models/tiny-stories-Q3_K_M.gguf', import.meta.url));
const greedy = { maxTokens: 8, temperature: 0 };

describe(`the board at ${device}`, () => {
  /** @type {import('pynq-llm').BoardClient} */
  let board;
  beforeAll(async () => {
    board = await connect(device);
  });
  afterAll(() => board?.close());

  it('is ready', async () => {
    expect((await board.health()).state).toBe('ready');
  });

  it('computes the same bits as the mock', async () => {
    const mock = await openMock();
    const texts = [];
    for (const one of [board, mock]) {
      const model = await one.models.upload(file);
      texts.push(await model.generate('Once upon a time', greedy).text());
    }
    await mock.close();
    expect(texts[0]).not.toBe('');
    expect(texts[0]).toBe(texts[1]);
  });
});

it('a DMA error that does not go away is told by its code', async () => {
  const mock = await openMock({ faults: [{ name: 'dma-slave-error', after: 50, count: 1_000_000 }] });
  const model = await mock.models.upload(file);
  await expect(model.generate('Once', greedy).text()).rejects.toMatchObject({ code: /^DRIVER_DMA/ });
  await mock.close();
});
