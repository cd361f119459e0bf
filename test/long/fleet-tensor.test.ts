import { expect, it } from 'vitest';
import { connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from '../system/support/agent.js';
import { testFleet } from '../system/support/fleet.js';

const PROMPT = 'Once upon a time there was a little girl who had a red ball';
const MODES: readonly GenerateOptions[] = [
  { maxTokens: 40, temperature: 0, ignoreEos: true },
  { maxTokens: 40, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1 },
  { maxTokens: 40, temperature: 0, promptLookup: true, ignoreEos: true },
  { maxTokens: 10, temperature: 0, beams: { width: 3 } },
];

async function whole(of: Model, options: GenerateOptions): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const token of of.generate(PROMPT, { ...options, window: 4 })) tokens.push(token);
  return tokens;
}

it('four boards compute every matrix together with the bits of one, then three, and four again', async () => {
  await using alone = await openMock();
  const reference = await alone.models.upload(TINY_MODEL);
  const tensor = { boards: 4, isForced: true };
  await using fleet = await testFleet({ boards: 4, tensor, hopMs: 60_000, maxWaitMs: 120_000 });
  await using board = await connect(fleet.url);
  const model = await board.models.upload(TINY_MODEL);
  const sizes = async () => (await board.fleetStatus()).plans?.map(({ stages }) => stages.length);
  expect(await sizes()).toEqual([4]);
  for (const options of MODES) expect(await whole(model, options)).toEqual(await whole(reference, options));
  for (const place of [0, 3]) {
    const gone = (await board.fleetStatus()).plans![0]!.stages[place]!.board;
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, { ...MODES[1], ignoreEos: true, window: 4 })) {
      tokens.push(token);
      if (token.index === 12) await fleet.boards.get(gone)?.member.close();
    }
    expect(tokens).toEqual(await whole(reference, { ...MODES[1], ignoreEos: true }));
    expect(await sizes()).toEqual([3]);
    await fleet.join(gone);
    await expect.poll(sizes, { timeout: 120_000 }).toEqual([4]);
  }
  expect(await board.fleetStatus()).toMatchObject({ redelivered: 2, diverged: 0 });
}, 600_000);
