import { expect } from 'vitest';
import {
  type BoardClient,
  connect,
  type GenerateOptions,
  type Model,
  type Token,
} from '../../../sdk/index.js';
import { openMock } from '../../../sdk/mock.js';
import { TINY_MODEL } from './agent.js';
import { type TestFleet, type TestFleetOptions, testFleet } from './fleet.js';

/** A fleet, and one board with the same model to compare with. */
export interface FleetBesideOne extends AsyncDisposable {
  readonly alone: BoardClient;
  readonly reference: Model;
  readonly fleet: TestFleet;
  /** A client of the fleet. */
  readonly board: BoardClient;
  readonly model: Model;
}

export async function fleetBesideOne(options: TestFleetOptions): Promise<FleetBesideOne> {
  const parts: AsyncDisposable[] = [];
  const dispose = async () => {
    for (const part of parts.splice(0).reverse()) await part[Symbol.asyncDispose]();
  };
  const kept = <T extends AsyncDisposable>(part: T): T => {
    parts.push(part);
    return part;
  };
  try {
    const alone = kept(await openMock());
    const reference = await alone.models.upload(TINY_MODEL);
    const fleet = kept(await testFleet(options));
    const board = kept(await connect(fleet.url));
    const model = await board.models.upload(TINY_MODEL);
    return { alone, reference, fleet, board, model, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Tokens and end of a generation. */
export async function wholeOf(model: Model, prompt: string, options: GenerateOptions) {
  const generation = model.generate(prompt, options);
  const tokens: Token[] = [];
  for await (const token of generation) tokens.push(token);
  const { reason, text, tokens: count, beams } = await generation.done;
  return { tokens, end: { reason, text, count, beams } };
}

/** So many at a time are each as on one board, and what is cancelled meanwhile has ended; nothing went on elsewhere. */
export async function expectManyAlike(
  { reference, board, model }: FleetBesideOne,
  prompt: string,
  { count, maxTokens }: { readonly count: number; readonly maxTokens: number },
): Promise<void> {
  const options = (seed: number) => ({ maxTokens, temperature: 1, seed });
  const cancelled = model.generate(prompt, { maxTokens: 400, ignoreEos: true, temperature: 0, window: 2 });
  const seeds = Array.from({ length: count }, (_, seed) => seed);
  const many = await Promise.all(seeds.map((seed) => wholeOf(model, prompt, options(seed))));
  for (const [seed, one] of many.entries())
    expect(one).toEqual(await wholeOf(reference, prompt, options(seed)));
  for await (const token of cancelled) if (token.index === 3) break;
  expect((await cancelled.done).reason).toBe('cancelled');
  expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
}

const SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer' } },
  required: ['name', 'age'],
} as const;

/** Ways to generate whose bits must not depend on where it happens. */
export function modesOf(maxTokens: number) {
  return {
    greedy: { maxTokens, temperature: 0 },
    sampled: { maxTokens, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1 },
    'prompt lookup': { maxTokens, temperature: 0, promptLookup: true, ignoreEos: true },
    schema: {
      maxTokens: 60,
      temperature: 1,
      seed: 3,
      responseFormat: { type: 'json-schema', schema: SCHEMA },
    },
  } as const satisfies Record<string, GenerateOptions>;
}
