import { z } from 'zod';
import type { LogEntry } from '../../bus/index.js';
import { checkEvent, checkParams, type GenerateEvent, type Params } from '../../protocol/index.js';
import { checked, given, outcome, term, unpack } from '../messages.js';
import { ENDS, GIVEN, OVER, REQUESTS, TERMS, TOKENS } from '../subjects.js';
import { type Difference, TokenReader } from '../token-reader.js';

/** What a client asked for, with its prompt as tokens and its seed fixed. */
export type WholeParams = Params<'generate.start'> & {
  readonly prompt: { readonly tokens: readonly number[] };
};

/** A request as it is written to the log before anything is done with it. */
export interface Requested {
  readonly term: number;
  readonly client: readonly string[];
  /** When it came, in milliseconds since 1970 by the gateway's clock: machines share no other. */
  readonly at: number;
  readonly params: WholeParams;
}
const requested: z.ZodType<Requested> = z.object({
  term,
  client: z.array(z.string()),
  at: z.number(),
  params: checked((value) => checkParams('generate.start', value)).transform((params, context) => {
    if ('tokens' in params.prompt) return { ...params, prompt: params.prompt };
    context.addIssue({ code: 'custom', message: 'the prompt is not tokens' });
    return z.NEVER;
  }),
});

/** What a request ended with for its client, whoever said it. */
const over = z.object({ term, event: checked((value) => checkEvent('generate.start', value)) });
const newTerm = z.object({ term });

/** A request that a gateway took and another one goes on with. */
export interface LeftRequest {
  /** Of its entry in the log. */
  readonly sequence: number;
  readonly requested: Requested;
  /** Its tokens so far, and its end where a board told it. */
  readonly reader: TokenReader;
  /** What its client was told at the end, or would have been. */
  readonly over: GenerateEvent | undefined;
}

/** One that is read. */
interface Reading extends LeftRequest {
  over: LeftRequest['over'];
  /** The boards that it was given to, by term and delivery. */
  readonly boards: Map<string, string>;
}

/**
 * Reads what gateways before have left from the entries of the log, in their order. Of boards it takes what a gateway takes that leads:
 * what those say that it was given to, of the deliveries that they had.
 */
export class LeftRequests {
  readonly #requests = new Map<string, Reading>();
  #term = 0;
  readonly #onDifference: (generation: string, difference: Difference) => void;

  /** @param onDifference told of tokens of boards that are not the same */
  constructor(onDifference: (generation: string, difference: Difference) => void = () => {}) {
    this.#onDifference = onDifference;
  }

  /** All of them, also those that have ended, in the order in which they came. */
  get all(): LeftRequest[] {
    return [...this.#requests.values()];
  }

  /** @throws PynqLlmError FLEET_BAD_MESSAGE: such an entry is passed over */
  take({ subject, data, sequence }: LogEntry): void {
    const [kind, second, third] = subject.split('.');
    if (kind === TERMS) this.#term = Math.max(this.#term, unpack(newTerm, data, 'A term').term);
    else if (kind === REQUESTS) this.#begin(second, data, sequence);
    else if (kind === GIVEN) this.#give(second, data);
    else if (kind === OVER) this.#end(second, data);
    else if (kind === TOKENS || kind === ENDS) this.#outcome(kind, third, second, data);
  }

  #begin(generation: string, data: Uint8Array, sequence: number): void {
    const one = readRequest(data);
    const before = this.#requests.get(generation);
    // A gateway takes no id of one that it has: the first was refused, or never promised, whether or not that could be written down. What one
    // says that leads no more changes nothing.
    if (before !== undefined && before.over === undefined && one.term < before.requested.term) return;
    this.#requests.delete(generation);
    const reader = new TokenReader(one.params.continueFrom);
    this.#requests.set(generation, { sequence, requested: one, reader, over: undefined, boards: new Map() });
  }

  #give(generation: string, data: Uint8Array): void {
    const request = this.#requests.get(generation);
    if (request === undefined) return;
    const said = unpack(given, data, 'To whom a request was given');
    // Boards do nothing for one who leads no more.
    if (said.term >= this.#term) request.boards.set(deliveryOf(said), said.board);
  }

  #end(generation: string, data: Uint8Array): void {
    const request = this.#requests.get(generation);
    if (request === undefined) return;
    const said = unpack(over, data, 'The end of a request');
    // One who leads no more has nothing to end: his successor goes on with it.
    if (said.term >= this.#term) request.over = said.event;
  }

  #outcome(kind: string, generation: string, board: string, data: Uint8Array): void {
    const request = this.#requests.get(generation);
    if (request === undefined || request.over !== undefined) return;
    const said = unpack(outcome, data, 'What a board says of a request');
    if (request.boards.get(deliveryOf(said)) !== board) return;
    const { event } = said;
    // What failed on one board may be done by another; one that was superseded says that it was cancelled.
    if (event.type === 'failed' || (kind === TOKENS) !== (event.type === 'token')) return;
    const { difference } =
      event.type === 'token' ? request.reader.take(event, board) : request.reader.takeEnd(event, board);
    if (difference !== undefined) this.#onDifference(generation, difference);
  }
}

function deliveryOf({ term, delivery }: { readonly term: number; readonly delivery: number }): string {
  return `${term}.${delivery}`;
}

/** @throws PynqLlmError FLEET_BAD_MESSAGE */
export function readRequest(data: Uint8Array): Requested {
  return unpack(requested, data, 'A request in the log');
}
