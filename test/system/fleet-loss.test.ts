import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { type Cut, type TestFleet, testFleet } from './support/fleet.js';

const PROMPT = 'Once upon a time';
const TOKENS = 12;

let alone: BoardClient;
let reference: Model;
let fleet: TestFleet;
let board: BoardClient;
let model: Model;
beforeAll(async () => {
  alone = await openMock();
  reference = await alone.models.upload(TINY_MODEL);
  fleet = await testFleet({ boards: 3, leaseMs: 600, maxWaitMs: 20_000 });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
});
afterAll(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
  await alone?.close();
});
afterEach(async () => {
  for (const { cut } of fleet.boards.values()) cut.before = () => false;
  await fleet.heal();
});

async function whole(of: Model, options: GenerateOptions) {
  const generation = of.generate(PROMPT, options);
  const tokens: Token[] = [];
  for await (const token of generation) tokens.push(token);
  const { reason, text, tokens: count } = await generation.done;
  return { tokens, end: { reason, text, count } };
}

/** The first board that is about to log this, and no other one, is cut off before. */
function cutOnce(isDue: (subject: string, id: string) => boolean): () => number {
  let cuts = 0;
  for (const { cut } of fleet.boards.values())
    cut.before = (subject, id) => {
      if (cuts > 0 || !isDue(subject, id)) return false;
      cuts++;
      return true;
    };
  return () => cuts;
}

const MODES: Readonly<Record<string, GenerateOptions>> = {
  greedy: { maxTokens: TOKENS, temperature: 0 },
  sampled: { maxTokens: TOKENS, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1 },
};

describe('a board that is lost', () => {
  for (const [mode, options] of Object.entries(MODES))
    it(`at any of ${TOKENS} tokens, or before the end, changes nothing: ${mode}`, async () => {
      const expected = await whole(reference, options);
      expect(expected.tokens).toHaveLength(TOKENS);
      const moments = [...expected.tokens.map(({ index }) => `.${index}`), '.end'];
      for (const moment of moments) {
        const before = await board.fleetStatus();
        const cuts = cutOnce((_, id) => id.endsWith(moment));
        expect(await whole(model, options), moment).toEqual(expected);
        expect(cuts(), moment).toBe(1);
        const after = await board.fleetStatus();
        expect(after.redelivered, moment).toBeGreaterThan(before.redelivered);
        expect(after.diverged).toBe(0);
        await fleet.heal();
      }
    });

  it('but goes on computing, and is heard again, tells tokens that are there already: they are compared and dropped', async () => {
    const options = { ...MODES.sampled, maxTokens: 40 };
    const expected = await whole(reference, options);
    const before = await board.fleetStatus();
    let zombie: Cut | undefined;
    for (const { cut } of fleet.boards.values())
      cut.before = (subject, id) => {
        if (zombie !== undefined || !subject.startsWith('tok.') || !id.endsWith('.5')) return false;
        zombie = cut;
        cut.hold();
        return false;
      };
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, options)) {
      tokens.push(token);
      if (token.index === 7) zombie?.release();
    }
    expect(tokens).toEqual(expected.tokens);
    expect(zombie).toBeDefined();
    const after = await board.fleetStatus();
    expect(after.redelivered).toBeGreaterThan(before.redelivered);
    expect(after.repeated).toBeGreaterThan(before.repeated);
    expect(after.diverged).toBe(before.diverged);
  });

  it('is not waited for to the end by who asked it for something else', async () => {
    const ids = await reference.tokenize(PROMPT);
    const [silent] = fleet.boards.values();
    silent.cut.now();
    // They are asked in turn: one of them at least.
    const asked = Array.from({ length: fleet.boards.size }, () => model.tokenize(PROMPT));
    for (const answered of await Promise.all(asked)) expect(answered).toEqual(ids);
  });

  it('each time that it has a request ends the request after three boards, and the fleet goes on', async () => {
    let killed = 0;
    for (const { cut } of fleet.boards.values())
      cut.before = (subject) => {
        if (cut.isCut || !subject.startsWith('tok.')) return false;
        killed++;
        return true;
      };
    await expect(whole(model, MODES.greedy)).rejects.toMatchObject({ code: 'FLEET_POISON' });
    expect(killed).toBe(3);
    for (const { cut } of fleet.boards.values()) cut.before = () => false;
    await fleet.heal();
    expect(await whole(model, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
  });
});
