import { randomBytes } from 'node:crypto';
import type { Bus, Log as BusLog, Delivery } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { errorToWire, type GenerateEvent, systemClock } from '../../protocol/index.js';
import { type Beginning, type Order, type Outcome, pack } from '../messages.js';
import { BEGINNINGS, ENDS, LOG, TOKENS } from '../subjects.js';
import type { AgentLink } from './agent-link.js';

/** A broker that is away is asked again after so long; what the board generates meanwhile is bounded by its client's credit. */
const AGAIN_MS = 200;
/** What another answer may take than the broker's. */
const APPEND_MS = 5_000;

const TOO_LARGE = new PynqLlmError(
  'BUS_PAYLOAD_TOO_LARGE',
  "What the request ended with is larger than the broker's messages.",
);
/** After these it is stored perhaps later. */
const PASSING: ReadonlySet<string> = new Set(['BUS_UNAVAILABLE', 'BUS_STORE_FULL', 'BUS_MISSING']);
/** Where the broker takes no end of it, the request is delivered again after so long. */
const NAK_MS = 1_000;

interface RunOptions {
  readonly bus: Bus;
  readonly link: AgentLink;
  /** The board's name. */
  readonly board: string;
  readonly order: Order;
  readonly delivery: Delivery;
  /** Ends it without a word: the board has lost its lease, or another gateway leads, and others have the request. */
  readonly signal: AbortSignal;
}

/** A request on this board: its tokens go to the log by their numbers, then its end. */
export class Run {
  /**
   * On the board's own agent, which may still know an earlier delivery of the same request; and of its entries in the log: brokers refuse an id
   * that they had, whoever used it, so that nobody is to know it before.
   */
  readonly #id = randomBytes(16).toString('hex');
  readonly #options: RunOptions;
  readonly #log: BusLog;
  /** Tokens that it went on after, and those of its own. */
  #base = 0;
  #received = 0;
  /** Tokens numbered below it may be generated. */
  #credit: number;
  #granted = 0;
  #grant: (credit: number) => void = () => {};
  /** What was appended last is stored, and all before it. */
  #stored: Promise<void> = Promise.resolve();
  /** Why something of it is not in the log, and never will be. */
  #unstored: unknown;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#credit = options.order.credit;
    this.#log = options.bus.log(LOG);
  }

  /** Resolves with its end when that is in the log. Never rejects. */
  async done(): Promise<GenerateEvent> {
    const { params, given } = this.#options.order;
    const { continueFrom = [] } = params;
    let end = await this.#generate(continueFrom);
    // Whoever had it before told all its tokens, but not the end: the last one is computed again for it. Not so what the
    // client says that it had: nobody knows that it was ever computed.
    const isEnded = end.type === 'failed' && end.error.code === 'LLM_CONTINUE_ENDED';
    if (isEnded && continueFrom.length > given) end = await this.#generate(continueFrom.slice(0, -1));
    const { signal, delivery, bus } = this.#options;
    if (pack({ event: end }).length > bus.maxPayload) end = { type: 'failed', error: TOO_LARGE.toWire() };
    // A broker stores what has other subjects in any order: the end is not to come before a token.
    await this.#stored;
    const hole = this.#takeUnstored();
    if (hole !== undefined) end = failure(hole);
    await this.#append(ENDS, 'end', { event: end });
    const refusal = this.#takeUnstored();
    if (refusal !== undefined) await this.#append(ENDS, 'failed', { event: failure(refusal) });
    if (signal.aborted) return end;
    // Where it is delivered again after its end is stored, it has ended for the gateway.
    if (this.#takeUnstored() === undefined) await delivery.ack().catch(() => undefined);
    else delivery.nak(NAK_MS);
    return end;
  }

  #takeUnstored(): unknown {
    const error = this.#unstored;
    this.#unstored = undefined;
    return error;
  }

  /** Number of its delivery, among all of its gateway. */
  get delivery(): number {
    return this.#options.order.delivery;
  }

  /** Credit is absolute: less than before changes nothing. */
  grant(credit: number): void {
    this.#credit = Math.max(this.#credit, credit);
    this.#pass();
  }

  cancel(): void {
    this.#options.link.request('generate.cancel', { generation: this.#id }).catch(() => undefined);
  }

  /** How far it is, as the board's agent tells it. */
  progress(): ReturnType<typeof AgentLink.prototype.request<'generate.progress'>> {
    return this.#options.link.request('generate.progress', { generation: this.#id });
  }

  async #generate(continueFrom: readonly number[]): Promise<GenerateEvent> {
    const { link, order } = this.#options;
    const { generation: _, ...params } = order.params;
    this.#base = continueFrom.length;
    this.#received = 0;
    this.#granted = 0;
    let end: (event: GenerateEvent) => void = () => {};
    const ended = new Promise<GenerateEvent>((resolve) => {
      end = resolve;
    });
    const fail = (error: unknown) => end(failure(error));
    const forget = link.onLost(fail);
    try {
      const asked = {
        ...params,
        generation: this.#id,
        continueFrom: continueFrom.length === 0 ? undefined : [...continueFrom],
      };
      const opened = link.openStream('generate.start', asked, (event) => {
        if (event.type !== 'token') return end(event);
        this.#received++;
        this.#pass();
        void this.#append(TOKENS, String(event.index), { event });
      });
      this.#grant = opened.stream.grant;
      this.#pass();
      opened.result.then(({ promptTokens }) => {
        void this.#append(BEGINNINGS, 'begun', { promptTokens });
      }, fail);
      return await ended.finally(opened.release);
    } catch (error) {
      fail(error);
      return ended;
    } finally {
      forget();
    }
  }

  /** The agent takes credit within the window only. */
  #pass(): void {
    const { window } = this.#options.order.params;
    const credit = Math.min(this.#credit - this.#base, this.#received + window);
    if (credit <= this.#granted) return;
    this.#granted = credit;
    this.#grant(credit);
  }

  /** Appends to the log in the order of the calls, as often as it takes. @param what names the entry within its delivery */
  #append(
    kind: typeof BEGINNINGS | typeof TOKENS | typeof ENDS,
    what: string,
    message: Omit<Beginning, 'term' | 'delivery'> | Omit<Outcome, 'term' | 'delivery'>,
  ): Promise<void> {
    const { order, signal, board } = this.#options;
    const { term, delivery, params } = order;
    const data = pack({ term, delivery, ...message });
    // A board writes below its own name alone.
    const subject = `${kind}.${board}.${params.generation}`;
    const id = `${term}.${delivery}.${this.#id}.${what}`;
    const append = () => this.#log.append(subject, id, data, { timeoutMs: APPEND_MS });
    const stored = signal.aborted ? undefined : append();
    // Handled where it is waited for.
    stored?.catch(() => undefined);
    this.#stored = this.#stored.then(async () => {
      for (let attempt = stored; !signal.aborted; attempt = append())
        try {
          await attempt;
          return;
        } catch (error) {
          if (!isPynqLlmError(error) || !PASSING.has(error.code)) {
            this.#unstored ??= error;
            // There is no use in tokens behind a hole.
            if (kind === TOKENS) this.cancel();
            return;
          }
          await new Promise<void>((resolve) => systemClock.after(AGAIN_MS, resolve));
        }
    });
    return this.#stored;
  }
}

function failure(error: unknown): GenerateEvent {
  return { type: 'failed', error: errorToWire(error, 'AGENT_INTERNAL') };
}
