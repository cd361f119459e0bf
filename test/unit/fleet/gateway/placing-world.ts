import { randomUUID } from 'node:crypto';
import { type Bus, InProcessBroker, type Lease, takeLease } from '../../../../bus/index.js';
import { BoardPages } from '../../../../fleet/gateway/board-pages.js';
import { Boards } from '../../../../fleet/gateway/boards.js';
import { Calls } from '../../../../fleet/gateway/calls.js';
import { declareStores } from '../../../../fleet/gateway/declare-stores.js';
import { Dispatch } from '../../../../fleet/gateway/dispatch.js';
import { StepPrices } from '../../../../fleet/gateway/step-prices.js';
import { AnswerLengths, describeBoards } from '../../../../fleet/index.js';
import { type BoardRecord, pack } from '../../../../fleet/messages.js';
import { BOARDS, callsOf, WORK_QUEUE } from '../../../../fleet/subjects.js';
import { silentLog } from '../../../../listen/index.js';
import { newCost, PAGE_TOKENS, pageHash } from '../../../../llm/index.js';
import type { Clock, GenerateEvent } from '../../../../protocol/index.js';
import { TINY_STORIES } from '../../llm/models.js';

const MODEL = 'a'.repeat(64);
const CREDIT = 1_000_000;

/** A board that says what it is told to, and computes nothing. */
export interface SaidBoard {
  readonly name: string;
  readonly held: ReadonlySet<number>;
  isDraining: boolean;
}

/** A request as whoever tells its tokens knows it. */
export interface SaidRequest {
  readonly id: number;
  readonly generation: string;
  readonly prompt: readonly number[];
  board: string | undefined;
  begun: boolean;
  hasToken: boolean;
  tokens: number;
  /** Tokens of the prompt that its board has to compute. */
  promptLeft: number;
  delivery: number;
  moves: number;
}

/** Of the gateway that leads all the time. */
const TERM = 1;

/** A gateway's dispatch on a real bus, and boards that are only said: their tokens come when a test says so. */
export class PlacingWorld {
  readonly boards: SaidBoard[] = [];
  readonly requests: SaidRequest[] = [];
  readonly lengths = new AnswerLengths();
  prices!: StepPrices;
  known!: Boards;
  dispatch!: Dispatch;
  #broker = new InProcessBroker();
  #bus: Bus = this.#broker.connect('gateway');
  #pages!: BoardPages;
  #leases = new Map<string, Lease>();
  #now = 0;
  #tick: (() => void) | undefined;
  readonly #clock: Clock = {
    now: () => this.#now,
    after: (_, action) => {
      this.#tick = action;
      return () => {
        this.#tick = undefined;
      };
    },
  };

  /** @param kinds a board's description, and the prompts whose pages it keeps, for each board */
  static async of(
    kinds: readonly { readonly clockHz: number; readonly prompts: readonly (readonly number[])[] }[],
  ): Promise<PlacingWorld> {
    const world = new PlacingWorld();
    await declareStores(world.#bus);
    const boards = new Boards({
      bus: world.#bus,
      log: silentLog,
      onCome: ({ owner }) => boards.led(owner),
      onChange: (board) => {
        world.#pages.boardChanged(board);
        world.dispatch.boardChanged();
      },
      onGone: () => {},
    });
    const calls = new Calls(world.#bus, boards, 1_000, TERM);
    const leads = () => true;
    const parts = { bus: world.#bus, boards, clock: world.#clock, log: silentLog, term: TERM, leads };
    world.known = boards;
    world.prices = new StepPrices({
      store: { path: () => TINY_STORIES },
      log: silentLog,
      boards,
      planOf: () => undefined,
    });
    world.#pages = new BoardPages({ ...parts, calls });
    world.dispatch = new Dispatch({
      ...parts,
      calls,
      pages: world.#pages,
      prices: world.prices,
      waitMs: 1e9,
    });
    for (const [i, kind] of kinds.entries()) await world.#join(`board-${i}`, kind);
    return world;
  }

  async #join(
    name: string,
    { clockHz, prompts }: { readonly clockHz: number; readonly prompts: readonly (readonly number[])[] },
  ): Promise<void> {
    const held = new Set(prompts.flatMap(pagesOf));
    this.boards.push({ name, held, isDraining: false });
    await this.#bus.queue(WORK_QUEUE).openLane(name);
    const line = this.#broker.connect(name);
    const answer = pack({
      result: { index: '0'.repeat(16), version: 1, isWhole: true, added: [...held], removed: [] },
    });
    await line.answer(callsOf(name), () => answer).ready;
    const owner = randomUUID();
    const lease = await takeLease(line, line.bucket(BOARDS), name, {
      owner,
      ttlMs: 600_000,
      value: recordOf(clockHz, false),
    });
    this.#leases.set(name, lease!);
    this.#clocks.set(name, clockHz);
    await this.until(() => this.#pages.countOf(owner) === held.size && this.known.get(name) !== undefined);
  }
  readonly #clocks = new Map<string, number>();

  /** Waits for the bus. */
  async until(isSo: () => boolean): Promise<void> {
    for (let i = 0; i < 10_000; i++) {
      if (isSo()) return;
      await this.settle();
    }
    throw new Error('the bus did not bring it');
  }

  /** Lets orders be queued, so that they can be taken back. */
  async settle(): Promise<void> {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  submit(request: SaidRequest): void {
    const params = {
      generation: request.generation,
      model: MODEL,
      prompt: { tokens: [...request.prompt] },
      sampling: { maxTokens: 4_000 },
      window: 16,
    };
    const facts = {
      params,
      client: ['a'],
      class: 'interactive' as const,
      priority: 5,
      arrivedAt: this.#now,
      deadlineAt: undefined,
    };
    this.dispatch.submit(facts, CREDIT, { onBegun: () => {}, onEvent: () => {} });
  }

  begin({ generation, board, prompt }: SaidRequest): void {
    const delivery = this.#deliveryOf(generation);
    const data = pack({ term: TERM, delivery, promptTokens: prompt.length });
    this.dispatch.take({ subject: `begun.${board}.${generation}`, data } as never);
  }

  token(request: SaidRequest): void {
    this.#say('tok', request, { type: 'token', index: request.tokens, id: 5, text: 'x', logprob: -1 });
  }

  end(request: SaidRequest): void {
    const { prompt, tokens } = request;
    const timing = {
      queuedMs: 0,
      prefillMs: 0,
      decodeMs: 0,
      promptTokens: prompt.length,
      generatedTokens: tokens,
    };
    this.#say('end', request, {
      type: 'done',
      reason: 'stop',
      text: '',
      tokens,
      timing,
      counters: newCost(),
    });
  }

  /** As the board was told it. */
  #deliveryOf(generation: string): number {
    return this.dispatch.find(generation)?.delivery ?? 0;
  }

  #say(kind: string, { generation, board }: SaidRequest, event: GenerateEvent): void {
    const delivery = this.#deliveryOf(generation);
    const data = pack({ term: TERM, delivery, event });
    this.dispatch.take({ subject: `${kind}.${board}.${generation}`, data } as never);
  }

  tick(): void {
    this.#now += 1;
    const tick = this.#tick;
    this.#tick = undefined;
    tick?.();
  }

  async drain(board: SaidBoard): Promise<void> {
    await this.#leases.get(board.name)!.set(recordOf(this.#clocks.get(board.name)!, board.isDraining));
    await this.until(() => this.known.get(board.name)?.record.isDraining === board.isDraining);
  }

  async close(): Promise<void> {
    this.dispatch.close();
    this.#pages.close();
    this.known.close();
    await this.#bus.close();
  }
}

/** The hashes of a prompt's complete pages, computed one by one. */
export function pagesOf(tokens: readonly number[]): number[] {
  const hashes: number[] = [];
  for (let at = 0; at + PAGE_TOKENS <= tokens.length; at += PAGE_TOKENS)
    hashes.push(pageHash(hashes.at(-1), tokens.slice(at, at + PAGE_TOKENS)));
  return hashes;
}

/** What a board says of itself. */
export function recordOf(clockHz: number, isDraining: boolean): string {
  const [board] = describeBoards([{ name: 'pynq-z1', count: 1 }], undefined);
  const record: BoardRecord = {
    info: {
      device: 'mock:',
      description: { ...board!, clockHz } as BoardRecord['info']['description'],
      agent: '0',
      node: 'v0',
      platform: 'said',
      protocol: { major: 3, minor: 0 },
      capabilities: [],
      uptimeMs: 0,
    },
    leaseMs: 600_000,
    places: 4,
    isDraining,
    models: [{ digest: MODEL, attempt: 1, state: 'loaded' }],
  };
  return JSON.stringify(record);
}

export const MODEL_OF_WORLD = MODEL;
