import { isPynqLlmError } from '../../errors/index.js';
import type { Clock } from '../../protocol/index.js';
import type { BoardViews } from './board-views.js';
import type { Boards } from './boards.js';
import type { Calls } from './calls.js';
import type { Redelivery } from './redelivery.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

/** A board that has said nothing of a request for so long is asked how far it is, and again after as long. */
const ASK_MS = 5_000;
const ANSWER_MS = 5_000;
/** Answers in a row that it does not have the request: its order, or what it said, was lost. */
const MOST_UNKNOWN = 3;
/** Without a step a board may load another model, or be in a long one: another board is better after so many answers. */
const MOST_WITHOUT_STEP = 12;
/** A board that was silent gets nothing for so long, where there is another. */
const REST_MS = 30_000;

interface SilenceOptions {
  readonly requests: Requests;
  readonly boards: Boards;
  readonly views: BoardViews;
  readonly redelivery: Redelivery;
  readonly calls: Pick<Calls, 'ask'>;
  readonly clock: Clock;
  /** Whether this gateway leads now. */
  readonly leads: () => boolean;
  /** Told when a request waits for a board again. */
  readonly onRoom: () => void;
}

/** What was heard of a request last. */
interface Heard {
  /** Which board has it, and how far it is, as its gateway knows it. */
  readonly state: string;
  askedAt: number;
  isAsked: boolean;
  steps: number | undefined;
  unknown: number;
  withoutStep: number;
}

/**
 * Looks for requests that boards have and do nothing for, though their leases are renewed: a lease says that a process lives, not that its
 * requests go on. Such a request goes on elsewhere.
 */
export class Silence {
  readonly #options: SilenceOptions;
  readonly #heard = new WeakMap<FleetRequest, Heard>();

  constructor(options: SilenceOptions) {
    this.#options = options;
  }

  look(): void {
    const { requests, leads, clock } = this.#options;
    if (!leads()) return;
    const now = clock.now();
    for (const request of requests.all) {
      const { state, isStalled, cancelled } = request;
      // What waits for its client, or is about to end, needs no board's word.
      if (state !== 'running' || isStalled || cancelled) this.#heard.delete(request);
      else this.#look(request, now);
    }
  }

  #look(request: FleetRequest, now: number): void {
    const { delivery, begun, generated, credit } = request;
    const state = [delivery, begun, generated, credit].join();
    const heard = this.#heard.get(request);
    if (heard?.state !== state)
      this.#heard.set(request, {
        state,
        askedAt: now,
        isAsked: false,
        steps: undefined,
        unknown: 0,
        withoutStep: 0,
      });
    else if (!heard.isAsked && now - heard.askedAt >= ASK_MS) {
      heard.askedAt = now;
      heard.isAsked = true;
      void this.#ask(request, heard).finally(() => {
        heard.isAsked = false;
      });
    }
  }

  async #ask(request: FleetRequest, heard: Heard): Promise<void> {
    const { calls, leads } = this.#options;
    const { board, generation } = request;
    if (board === undefined) return;
    try {
      const { steps } = await calls.ask(board.name, 'generate.progress', { generation }, ANSWER_MS);
      heard.unknown = 0;
      heard.withoutStep = steps === heard.steps ? heard.withoutStep + 1 : 0;
      heard.steps = steps;
    } catch (error) {
      // Without a broker nobody is heard.
      if (isPynqLlmError(error, 'BUS_UNAVAILABLE')) return;
      heard.withoutStep++;
      if (isPynqLlmError(error, 'AGENT_GENERATION_UNKNOWN')) heard.unknown++;
    }
    if (leads() && !request.ended && this.#heard.get(request) === heard) this.#judge(request, heard);
  }

  #judge(request: FleetRequest, { unknown, withoutStep }: Heard): void {
    const { boards, views, redelivery, clock, onRoom } = this.#options;
    const { board } = request;
    if (board === undefined || request.state !== 'running') return;
    const isLost = unknown >= MOST_UNKNOWN;
    const isBetter = () => views.freshFor(request).some(({ name }) => name !== board.name);
    if (!isLost && (withoutStep < MOST_WITHOUT_STEP || !isBetter())) return;
    boards.rest(board.owner, REST_MS, clock.now());
    const why = isLost ? 'does not have it' : 'computes nothing';
    redelivery.giveAgain(request, `board ${board.name} is heard and ${why}`, false);
    onRoom();
  }
}
