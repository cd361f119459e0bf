import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateOptions, Model, Token } from '../../sdk/index.js';
import type { Cut } from './support/fleet.js';
import { type FleetBesideOne, fleetBesideOne, wholeOf } from './support/fleet-beside-one.js';

const PROMPT = 'Once upon a time';
const TOKENS = 12;

let both: FleetBesideOne;
let { reference, fleet, board, model } = {} as FleetBesideOne;
beforeAll(async () => {
  both = await fleetBesideOne({ boards: 3, leaseMs: 600, maxWaitMs: 20_000 });
  ({ reference, fleet, board, model } = both);
});
afterAll(() => both?.[Symbol.asyncDispose]());
afterEach(async () => {
  for (const { cut } of fleet.boards.values()) cut.before = () => false;
  await fleet.heal();
});

const whole = (of: Model, options: GenerateOptions) => wholeOf(of, PROMPT, options);

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
