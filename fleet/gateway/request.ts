import type { ClientPath, SequenceView, ServiceClass } from '../../llm/index.js';
import { type GenerateEvent, traceIdOf } from '../../protocol/index.js';
import { TokenReader } from '../token-reader.js';
import type { WholeParams } from './left-requests.js';
import { PromptPages } from './prompt-pages.js';
import { RequestSpans } from './request-spans.js';

/** Who asked is told of its beginning, its tokens in order, and its end. */
export interface RequestSink {
  onBegun(promptTokens: number): void;
  onEvent(event: GenerateEvent): void;
}

/** What a client asked for, with the prompt as tokens. */
export interface RequestFacts {
  readonly params: WholeParams;
  readonly client: ClientPath;
  readonly class: ServiceClass;
  readonly priority: number;
  readonly arrivedAt: number;
  readonly deadlineAt: number | undefined;
}

/** @param arrivedAt by the gateway's clock */
export function factsOf(params: WholeParams, client: ClientPath, arrivedAt: number): RequestFacts {
  const { class: served, priority, deadlineMs } = params.service ?? {};
  return {
    params,
    client,
    class: served ?? 'interactive',
    priority: priority ?? 5,
    arrivedAt,
    deadlineAt: deadlineMs === undefined ? undefined : arrivedAt + deadlineMs,
  };
}

/** A board that was busy is left alone for so long, twice as long each time that it is still busy. */
const BUSY_MS = 250;
const MOST_BUSY_MS = 8_000;

/** A request that the fleet has taken: where it is, and what came of it so far. */
export class FleetRequest {
  state: 'waiting' | 'running' = 'waiting';
  /** Whether a board took it into its engine. */
  begun = false;
  cancelledAt: number | undefined;
  ended = false;
  /** The board that has it, and that board's owner of the lease. */
  board: { readonly name: string; readonly owner: string } | undefined;
  /** Boards that had it: they may still say tokens of it. */
  readonly had = new Set<string>();
  /** Of them, those that were lost with it, failed or were busy: another one is better. */
  readonly failedOn = new Set<string>();
  /** Boards that it was taken from while they lived, with the delivery that they are to end, and until when they are told so. */
  readonly leaving = new Map<string, { readonly delivery: number; readonly until: number }>();
  /** Number of its latest delivery, among those of all requests of this gateway; 0 before the first. */
  delivery = 0;
  /** Boards it was given to, and those since its last token. */
  deliveries = 0;
  fruitless = 0;
  /** Deliveries after which it was taken from a board that did nothing wrong. */
  moves = 0;
  /** Times that a board was busy, and until when each of them is left alone. */
  busy = 0;
  readonly #busyBoards = new Map<string, { readonly ms: number; readonly until: number }>();
  /** Board that it waits for to have room. */
  meantFor: string | undefined;
  /** Whether the board that has it told a token. */
  #hasToken = false;
  /** Tokens of its prompt whose pages its board had when it was given to it. */
  #found = 0;
  readonly #pages = new PromptPages();
  /** Of the work queue's message. */
  sequence: number | undefined;
  releasedAt: number | undefined;
  servedAt: number;
  /** Since when no board could take it. */
  homelessSince: number | undefined;
  /** Tokens numbered below it may be generated. */
  credit: number;
  /** Its tokens and its end, whichever board says them. */
  readonly reader: TokenReader;
  readonly spans: RequestSpans;
  /** Whether a gateway before had taken it. */
  readonly #isLeft: boolean;

  constructor(
    readonly number: number,
    readonly facts: RequestFacts,
    readonly sink: RequestSink,
    credit: number,
    /** What a gateway before has left of it. */
    left?: TokenReader,
  ) {
    this.reader = left ?? new TokenReader(facts.params.continueFrom);
    this.spans = new RequestSpans(facts.params.service);
    this.#isLeft = left !== undefined;
    this.credit = credit;
    this.servedAt = facts.arrivedAt;
  }

  get generation(): string {
    return this.facts.params.generation;
  }

  /** Id of the trace that it is part of. */
  get trace(): string | undefined {
    const { context } = this.spans;
    return context === undefined ? undefined : traceIdOf(context);
  }

  /** Models that a board has to have loaded. */
  get models(): readonly string[] {
    const { model, sampling } = this.facts.params;
    return sampling.draftModel === undefined ? [model] : [model, sampling.draftModel];
  }

  /** Tokens so far, those among them that the client gave. */
  get generated(): number {
    return this.reader.next;
  }

  get hasTokensOfBoards(): boolean {
    return this.generated > (this.facts.params.continueFrom?.length ?? 0);
  }

  get cancelled(): boolean {
    return this.cancelledAt !== undefined;
  }

  /** Whether it waits for its client, and costs its board nothing. */
  get isStalled(): boolean {
    return this.begun && this.credit <= this.generated;
  }

  /** Whether it would go on if a board had it. */
  get wantsBoard(): boolean {
    return this.state === 'waiting' && this.credit > this.generated;
  }

  /** Its board said that it has too much already. */
  boardIsBusy(now: number): void {
    if (this.board === undefined) return;
    const { name } = this.board;
    const before = this.#busyBoards.get(name)?.ms ?? BUSY_MS / 2;
    const ms = Math.min(2 * before, MOST_BUSY_MS);
    this.#busyBoards.set(name, { ms, until: now + ms });
    this.busy++;
  }

  /** Whether it may be given to a board, as far as that was busy before. */
  mayTry(board: string, now: number): boolean {
    return now >= (this.#busyBoards.get(board)?.until ?? now);
  }

  /** @param isHomeless whether no board could take it now */
  tellHomeless(isHomeless: boolean, now: number): void {
    // Boards that were always busy so far are none either.
    if (isHomeless || this.busy === 0)
      this.homelessSince = isHomeless ? (this.homelessSince ?? now) : undefined;
  }

  /** A board took it into its engine. */
  begin(): void {
    this.begun = true;
    this.spans.tell('begun');
    this.homelessSince = undefined;
    this.#busyBoards.clear();
  }

  /** A board has it from now on. @param delivery greater than that of any before @param found tokens of its prompt whose pages are there */
  give(board: { readonly name: string; readonly owner: string }, delivery: number, found: number): void {
    this.state = 'running';
    this.board = board;
    this.#found = found;
    this.leaving.delete(board.name);
    this.meantFor = undefined;
    this.delivery = delivery;
    this.deliveries++;
    this.spans.given(board.name, this.deliveries);
  }

  /** Its board has it no more. @param failed whether another one is better from now on */
  takeBack(failed: boolean): void {
    if (this.board !== undefined) {
      this.had.add(this.board.name);
      if (failed) this.failedOn.add(this.board.name);
    }
    this.spans.takenBack(failed);
    this.state = 'waiting';
    this.begun = false;
    this.#hasToken = false;
    this.board = undefined;
    this.sequence = undefined;
  }

  /** New tokens of it came. @returns whether they are the first ones since a board has it */
  tellsToken(): boolean {
    const isFirst = !this.#hasToken;
    if (isFirst) this.spans.tell('first token');
    this.#hasToken = true;
    this.fruitless = 0;
    return isFirst;
  }

  /** Columns that a board computes before its next token, where it has nothing of it yet. */
  get columns(): number {
    return this.facts.params.prompt.tokens.length + this.generated;
  }

  /** Of them, those that its board may not have computed yet. Beams tell no token. */
  get promptLeft(): number {
    const isComputed = this.#hasToken || (this.begun && this.isBeamSearch);
    return isComputed ? 0 : Math.max(1, this.columns - this.#found);
  }

  /** Whether nothing can be told of it, or continued elsewhere, before its end. */
  get isBeamSearch(): boolean {
    return this.facts.params.sampling.beams !== undefined;
  }

  /** Its complete pages, by the hashes that boards tell. */
  get pages(): readonly number[] {
    return this.#pages.of(this.facts.params.prompt.tokens, this.reader.ids);
  }

  /** What the policy sees. @param hasBoard whether a board could take it now */
  view(hasBoard: boolean): SequenceView {
    const { client, priority, arrivedAt, deadlineAt } = this.facts;
    return {
      id: this.number,
      class: this.facts.class,
      priority,
      client,
      arrivedAt,
      servedAt: this.servedAt,
      deadlineAt,
      state: this.state,
      begun: this.deliveries > 0 || this.#isLeft,
      hasCredit: hasBoard && this.credit > this.generated,
      left: Math.max(1, this.promptLeft),
      generates: this.generated > 0,
      found: 0,
      page: undefined,
      drafts: 0,
      room: Number.MAX_SAFE_INTEGER,
      pages: 0,
    };
  }
}
