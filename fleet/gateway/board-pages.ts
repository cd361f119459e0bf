import type { Bus, BusMessage, Subscription } from '../../bus/index.js';
import type { Log } from '../../listen/index.js';
import { type Clock, MAX_HELD_PAGES } from '../../protocol/index.js';
import { type PageNews, pageNews, unpack } from '../messages.js';
import { ALL_PAGES } from '../subjects.js';
import type { Boards, FleetBoard } from './boards.js';
import type { Calls } from './calls.js';

/** A board is asked for all its pages at most so often. */
const ASK_MS = 2_000;
const ANSWER_MS = 10_000;

interface BoardPagesOptions {
  readonly bus: Bus;
  readonly boards: Boards;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is known of the pages of a model on a board. */
interface Known {
  askedAt: number;
  held: Held | undefined;
}

interface Held {
  readonly index: string;
  version: number;
  readonly hashes: Set<number>;
}

/**
 * Which prefix pages boards keep, as they say it: all when one comes, then what changes. Where news were lost it is asked for all
 * again. It is what placement counts with, never what a board computes with: two prompts of one hash, or a board that is wrong of
 * itself, cost time and no bits.
 */
export class BoardPages {
  readonly #options: BoardPagesOptions;
  /** By the lease's owner, so that a board that comes again begins anew, and by model. */
  readonly #known = new Map<string, Map<string, Known>>();
  readonly #subscription: Subscription;

  constructor(options: BoardPagesOptions) {
    this.#options = options;
    const { bus, log } = options;
    this.#subscription = bus.subscribe(ALL_PAGES, (message) => this.#take(message), {
      onError: (err) => log.warn({ err }, 'which pages a board keeps cannot be read'),
    });
  }

  /** How many pages a board keeps of all models. */
  countOf(owner: string): number {
    const models = this.#known.get(owner)?.values() ?? [];
    return [...models].reduce((sum, { held }) => sum + (held?.hashes.size ?? 0), 0);
  }

  /** How many of the first of some pages a board keeps. @param hashes of a prompt's pages, in order */
  count({ owner }: FleetBoard, model: string, hashes: readonly number[]): number {
    const held = this.#known.get(owner)?.get(model)?.held?.hashes;
    if (held === undefined) return 0;
    let count = 0;
    while (count < hashes.length && held.has(hashes[count]!)) count++;
    return count;
  }

  /** A board came, or says something else of itself. */
  boardChanged(board: FleetBoard): void {
    // Of a model that it has no more, its pages are gone, too.
    const ofBoard = this.#known.get(board.owner);
    for (const digest of ofBoard?.keys() ?? []) if (!isLoaded(board, digest)) ofBoard!.delete(digest);
    for (const { digest, state } of board.record.models)
      if (state === 'loaded' && this.#known.get(board.owner)?.get(digest) === undefined)
        this.#ask(board, digest);
  }

  boardGone({ owner }: FleetBoard): void {
    this.#known.delete(owner);
  }

  close(): void {
    this.#subscription.close();
  }

  #take({ subject, data }: BusMessage): void {
    const board = this.#options.boards.get(subject.slice(subject.lastIndexOf('.') + 1));
    if (board === undefined) return;
    const news = unpack(pageNews, data, 'What a board says of its pages');
    if (!isLoaded(board, news.model)) return;
    const held = this.#known.get(board.owner)?.get(news.model)?.held;
    if (held === undefined || !follows(news, held)) {
      this.#ask(board, news.model);
      return;
    }
    update(held, news);
    // No engine keeps as many: what the board says is not so, and counts for nothing until it is asked again.
    if (held.hashes.size > MAX_HELD_PAGES) held.hashes.clear();
  }

  /** Asks a board for all pages that it keeps of a model. Where that fails the next news lead to it again. */
  #ask({ name, owner }: FleetBoard, model: string): void {
    const { boards, calls, clock } = this.#options;
    const now = clock.now();
    const ofBoard = this.#known.get(owner) ?? new Map<string, Known>();
    this.#known.set(owner, ofBoard);
    const known = ofBoard.get(model) ?? { askedAt: Number.NEGATIVE_INFINITY, held: undefined };
    ofBoard.set(model, known);
    if (now - known.askedAt < ASK_MS) return;
    known.askedAt = now;
    calls.ask(name, 'models.pages', { model }, ANSWER_MS).then(
      ({ index, version, added }) => {
        if (boards.get(name)?.owner === owner) known.held = { index, version, hashes: new Set(added) };
      },
      () => undefined,
    );
  }
}

/** Whether news say all that came after what is known. They say the last of each hash, so that they may begin before it. */
function follows({ index, from }: PageNews, held: Held): boolean {
  return index === held.index && from !== undefined && from <= held.version;
}

function update(held: Held, { version, added, removed }: PageNews): void {
  if (version <= held.version) return;
  for (const hash of removed) held.hashes.delete(hash);
  for (const hash of added) held.hashes.add(hash);
  held.version = version;
}

function isLoaded({ record }: FleetBoard, digest: string): boolean {
  return record.models.some((model) => model.digest === digest && model.state === 'loaded');
}
