import { describe, expect, it } from 'vitest';
import { type BoardView, move, release, steal, type Waiting } from '../../../../fleet/index.js';
import { PAGE_TOKENS } from '../../../../llm/index.js';
import { Random } from '../../../../maths/index.js';
import { MODEL_OF_WORLD, PlacingWorld, pagesOf, type SaidRequest } from './placing-world.js';

const MOST_WAITING = 8;

/** What the simulator would decide: the pure functions on what was said, kept apart from the gateway. */
class Decisions {
  constructor(readonly world: PlacingWorld) {}

  #found({ prompt, tokens }: SaidRequest, name: string): number {
    const { held } = this.world.boards.find((board) => board.name === name)!;
    // The last token is always computed.
    const pages = this.#pagesOf(prompt, tokens);
    const missing = pages.findIndex((hash) => !held.has(hash));
    return PAGE_TOKENS * (missing < 0 ? pages.length : missing);
  }

  readonly #pages = new Map<
    readonly number[],
    { readonly tokens: number; readonly hashes: readonly number[] }
  >();

  #pagesOf(prompt: readonly number[], tokens: number): readonly number[] {
    const known = this.#pages.get(prompt);
    if (known?.tokens === tokens) return known.hashes;
    const hashes = pagesOf([...prompt, ...Array.from({ length: tokens }, () => 5)].slice(0, -1));
    this.#pages.set(prompt, { tokens, hashes });
    return hashes;
  }

  #promptOn = (request: SaidRequest, name: string): number =>
    Math.max(1, request.prompt.length + request.tokens - this.#found(request, name));

  #views(withDraining: boolean): BoardView[] {
    const { world } = this;
    return world.boards
      .filter(({ isDraining }) => withDraining || !isDraining)
      .map(({ name, isDraining }) => ({
        ...world.prices.of(MODEL_OF_WORLD, world.known.get(name)!),
        name,
        places: 4,
        isDraining,
        work: world.requests
          .filter(({ board }) => board === name)
          .map(({ id, promptLeft, hasToken, begun, tokens }) => ({
            id,
            promptLeft: hasToken ? 0 : promptLeft,
            expectedLeft: world.lengths.expectedLeft(tokens, 4_000),
            begun,
          })),
      }));
  }

  #give(request: SaidRequest, board: string): void {
    request.promptLeft = this.#promptOn(request, board);
    request.board = board;
    request.begun = false;
    request.hasToken = false;
    request.delivery++;
  }

  #apply(
    find: typeof steal,
    isMeant: (request: SaidRequest) => boolean,
    fresh: Set<SaidRequest>,
  ): readonly (readonly [number, string])[] {
    const moved: [number, string][] = [];
    while (moved.length < 8) {
      const mayGo = (id: number, name: string) => {
        const request = this.world.requests.find((one) => one.id === id)!;
        const isThere = !this.world.boards.find((board) => board.name === name)!.isDraining;
        return !fresh.has(request) && isMeant(request) && isThere ? this.#promptOn(request, name) : undefined;
      };
      const found = find(this.#views(true), mayGo);
      if (found === undefined) break;
      const request = this.world.requests.find(({ id }) => id === found.id)!;
      this.#give(request, found.to);
      request.moves++;
      fresh.add(request);
      moved.push([found.id, found.to]);
    }
    return moved;
  }

  /** A look at what waits, and at what has not begun. @param meantFor boards that requests were meant for before */
  look(meantFor: ReadonlyMap<number, string | undefined>, withMoves: boolean) {
    const { world } = this;
    const waiting = world.requests
      .filter(({ board }) => board === undefined)
      .map(
        (request): Waiting => ({
          id: request.id,
          promptTokens: request.prompt.length + request.tokens,
          expectedTokens: world.lengths.expectedLeft(request.tokens, 4_000),
          found: (name) => this.#found(request, name),
          meantFor: meantFor.get(request.id),
        }),
      );
    const decided = release(waiting, this.#views(false));
    const fresh = new Set<SaidRequest>();
    for (const { id, board } of decided.released) {
      const request = world.requests.find((one) => one.id === id)!;
      this.#give(request, board);
      fresh.add(request);
    }
    const stolen = this.#apply(steal, ({ begun }) => !begun, fresh);
    const drains = (request: SaidRequest) =>
      world.boards.some(({ name, isDraining }) => isDraining && name === request.board);
    const isLoaded = world.requests.some(({ board }) => board === undefined);
    const moved = withMoves
      ? this.#apply(
          move,
          (request) => request.begun && (drains(request) || (!isLoaded && request.moves < 4)),
          fresh,
        )
      : [];
    return {
      released: decided.released.length,
      stolen: stolen.length,
      moved: moved.length,
    };
  }
}

describe('the gateway, told what a simulator knows,', () => {
  it.each([1, 2, 3])('decides as the simulator does, with %i. random numbers', async (seed) => {
    const random = new Random(seed);
    const upTo = (n: number) => Math.floor(random.nextDouble() * n);
    const begins = [0, 1, 2].map((n) => Array.from({ length: 96 }, (_, i) => 100 * n + i));
    const world = await PlacingWorld.of(
      [100e6, 100e6, 150e6].map((clockHz, i) => ({
        clockHz,
        prompts: [begins[i]!, begins[0]!.slice(0, 32)],
      })),
    );
    const decisions = new Decisions(world);
    const counts = { released: 0, stolen: 0, moved: 0 };
    let number = 0;
    const meantFor = () =>
      new Map(world.requests.map(({ id, generation }) => [id, world.dispatch.find(generation)?.meantFor]));
    /** @param say what leads to the look, after the simulator was told of it */
    let event = 0;
    const compare = (say: () => void, withMoves = false) => {
      const decided = decisions.look(meantFor(), withMoves);
      say();
      for (const { id, generation, board, delivery } of world.requests) {
        const real = world.dispatch.find(generation)!;
        const said = { id, board: real.board?.name, delivery: real.deliveries };
        expect(said, `event ${event}`).toEqual({ id, board, delivery });
      }
      for (const kind of ['released', 'stolen', 'moved'] as const) counts[kind] += decided[kind];
    };
    for (; event < 500; event++) {
      await world.settle();
      const running = world.requests.filter(({ board }) => board !== undefined);
      const what = random.nextDouble();
      const pick = <T>(from: readonly T[]): T | undefined => from[upTo(from.length)];
      if (what < 0.25 && world.requests.length - running.length < MOST_WAITING) {
        const prefix = begins[upTo(3)]!.slice(0, upTo(97));
        // As long as all others: short prompts go first, and the simulator has no such policy.
        const own = Array.from({ length: 120 - prefix.length }, () => 1_000 + upTo(500));
        const request: SaidRequest = {
          id: number++,
          generation: number.toString(16).padStart(32, '0'),
          prompt: [...prefix, ...own],
          board: undefined,
          begun: false,
          hasToken: false,
          tokens: 0,
          promptLeft: 0,
          delivery: 0,
          moves: 0,
        };
        world.requests.push(request);
        compare(() => world.submit(request));
      } else if (what < 0.4) {
        const request = pick(running.filter(({ begun }) => !begun));
        if (request === undefined) continue;
        world.begin(request);
        request.begun = true;
      } else if (what < 0.75) {
        const request = pick(running.filter(({ begun }) => begun));
        if (request === undefined) continue;
        const said = { ...request };
        request.tokens++;
        const isFirst = !request.hasToken;
        request.hasToken = true;
        if (isFirst) compare(() => world.token(said));
        else world.token(said);
      } else if (what < 0.85) {
        const request = pick(running.filter(({ hasToken }) => hasToken));
        if (request === undefined) continue;
        world.requests.splice(world.requests.indexOf(request), 1);
        world.lengths.ended(request.tokens);
        compare(() => world.end(request));
      } else if (what < 0.97) compare(() => world.tick(), true);
      else {
        const board = world.boards[upTo(3)]!;
        const others = world.boards.filter((one) => one !== board && !one.isDraining);
        if (others.length === 0) continue;
        board.isDraining = !board.isDraining;
        const decided = decisions.look(meantFor(), false);
        await world.drain(board);
        for (const { id, generation, board: name } of world.requests)
          expect({ id, board: world.dispatch.find(generation)!.board?.name }).toEqual({ id, board: name });
        counts.released += decided.released;
        counts.stolen += decided.stolen;
      }
    }
    expect(counts.released).toBeGreaterThan(40);
    expect(counts.stolen + counts.moved).toBeGreaterThan(1);
    await world.close();
  });
});
