import { expect } from 'vitest';
import { Random } from '../../../maths/index.js';
import {
  type BoardClient,
  type GenerateOptions,
  isPynqLlmError,
  type Model,
  type Token,
} from '../../../sdk/index.js';
import type { TestBoard, TestFleet } from './fleet.js';

const NAMES = ['mock-1', 'mock-2', 'mock-3', 'mock-4'];
const TOKENS = 24;
const KINDS: readonly { readonly prompt: string; readonly options: GenerateOptions }[] = [
  { prompt: 'Once upon a time', options: { temperature: 0 } },
  { prompt: 'Once upon a time there was', options: { temperature: 1, seed: 3, topLogprobs: 2 } },
  { prompt: 'The dog', options: { temperature: 0.8, seed: 9, repeatPenalty: 1.3, presencePenalty: 0.2 } },
  { prompt: 'One day', options: { temperature: 0, stop: [' the'] } },
  { prompt: 'Lily saw a', options: { temperature: 1, seed: 5, topP: 0.8, minP: 0.02 } },
];
const optionsOf = ({ options }: (typeof KINDS)[0]): GenerateOptions => ({ maxTokens: TOKENS, ...options });

/** What one board says to each kind of request. */
export async function referenceTexts(model: Model): Promise<readonly Answer[]> {
  return Promise.all(KINDS.map((kind) => answer(model, kind, () => false)));
}

interface Answer {
  readonly tokens: readonly Token[];
  readonly reason: string;
  readonly text: string;
}

/** @param onToken told of each token; true cancels */
async function answer(model: Model, kind: (typeof KINDS)[0], onToken: () => boolean): Promise<Answer> {
  const generation = model.generate(kind.prompt, { ...optionsOf(kind), window: 8 });
  const tokens: Token[] = [];
  for await (const token of generation) {
    tokens.push(token);
    if (onToken()) break;
  }
  const { reason, text } = await generation.done;
  return { tokens, reason, text };
}

/**
 * Has requests answered while boards join, leave, drain, stall and are cut off, and some requests are cancelled, all at random.
 * @param cuts whether boards are also lost without a word
 * @returns what happened
 */
export async function elasticSchedule(
  seed: number,
  {
    fleet,
    board,
    model,
    reference,
    cuts,
  }: {
    readonly fleet: TestFleet;
    readonly board: BoardClient;
    readonly model: Model;
    readonly reference: readonly Answer[];
    readonly cuts: boolean;
  },
): Promise<string[]> {
  const random = new Random(seed);
  const upTo = (n: number) => Math.floor(random.nextDouble() * n);
  const told: string[] = [];
  const before = await board.fleetStatus();
  /** Boards that take requests, and how those that stall go on. */
  const well = new Set(
    before.boards
      .filter(({ name, state }) => state === 'ready' && !fleet.boards.get(name)!.cut.isCut)
      .map(({ name }) => name),
  );
  // What the schedule before left of them may be too few.
  for (const name of NAMES) {
    if (well.size >= 2) break;
    if (!well.has(name)) await fleet.join(name);
    well.add(name);
  }
  const joining = new Set<string>();
  const stalled = new Map<string, () => void>();
  const pick = (names: Iterable<string>) => {
    const all = [...names];
    return all[upTo(all.length)];
  };
  const takeAway = (what: string, how: (one: TestBoard, name: string) => void) => {
    const name = well.size > 1 ? pick([...well].filter((one) => !stalled.has(one))) : undefined;
    if (name === undefined || [...well].every((one) => one === name || stalled.has(one))) return;
    told.push(`${what} ${name}`);
    well.delete(name);
    how(fleet.boards.get(name)!, name);
  };
  const waits: Promise<unknown>[] = [];
  const events: (() => void)[] = [
    () => {
      const name = pick(NAMES.filter((one) => !well.has(one) && !joining.has(one)));
      if (name === undefined) return;
      told.push(`join ${name}`);
      // One that drains leaves first.
      joining.add(name);
      waits.push(
        fleet.join(name).then(() => {
          joining.delete(name);
          well.add(name);
        }),
      );
    },
    () => takeAway('leave', ({ member }) => waits.push(member.close())),
    () => takeAway('drain', ({ member }) => waits.push(member.drain(0))),
    () =>
      takeAway('stall', ({ cut }, name) => {
        cut.pulls = new Promise((resolve) => stalled.set(name, resolve));
        well.add(name);
      }),
    () => {
      const name = pick(stalled.keys());
      if (name === undefined) return;
      told.push(`go on ${name}`);
      stalled.get(name)!();
      stalled.delete(name);
    },
    ...(cuts ? [() => takeAway('cut', ({ cut }) => cut.now())] : []),
  ];
  let [seen, next] = [0, 4];
  const onToken = () => {
    if (++seen < next) return;
    next = seen + 4 + upTo(24);
    events[upTo(events.length)]!();
  };
  const asked = Array.from({ length: 14 }, async (_, i) => {
    const kind = i % KINDS.length;
    const cancelAt = upTo(4) === 0 ? 1 + upTo(TOKENS) : undefined;
    let own = 0;
    const given = await answer(model, KINDS[kind]!, () => {
      onToken();
      return ++own === cancelAt;
    });
    const whole = reference[kind]!;
    expect(given.tokens, `request ${i}`).toEqual(whole.tokens.slice(0, given.tokens.length));
    // Its end may have been on its way when it was cancelled.
    if (given.reason !== 'cancelled') expect([given.reason, given.text]).toEqual([whole.reason, whole.text]);
    if (cancelAt === undefined) expect(given).toEqual(whole);
  });
  const all = Promise.all(asked);
  const goOn = setInterval(() => {
    // Nobody tells tokens where all that is left waits for a board that stalls.
    for (const resolve of stalled.values()) resolve();
    stalled.clear();
  }, 3_000);
  try {
    await all;
  } catch (error) {
    const why = isPynqLlmError(error) ? `${error.code}: ` : '';
    throw new Error(`seed ${seed}, after ${told.join(', ')}: ${why}${String(error)}`, { cause: error });
  } finally {
    clearInterval(goOn);
    for (const resolve of stalled.values()) resolve();
    await Promise.allSettled(waits);
  }
  await Promise.all(waits);
  const after = await board.fleetStatus();
  expect(after.diverged).toBe(before.diverged);
  return [...told, ...(after.moved > before.moved ? [`moved ${after.moved - before.moved}`] : [])];
}
