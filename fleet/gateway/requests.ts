import type { PynqLlmError } from '../../errors/index.js';
import { ClientAccounts, EndRate, newCost } from '../../llm/index.js';
import { type Clock, type DoneEvent, errorToWire, type GenerateEvent } from '../../protocol/index.js';
import { AnswerLengths } from '../placement/answer-lengths.js';
import type { FleetRequest } from './request.js';

/** The requests that have not ended, and what is known of those that have: what clients used, how fast answers end, how long they are. */
export class Requests {
  readonly #clock: Clock;
  /** By the ids that clients chose. */
  readonly #requests = new Map<string, FleetRequest>();
  readonly accounts = new ClientAccounts(new Map());
  readonly rate = new EndRate();
  readonly #lengths = new AnswerLengths();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#requests.size;
  }

  /** As they are now, in the order in which they came. */
  get all(): FleetRequest[] {
    return [...this.#requests.values()];
  }

  find(generation: string): FleetRequest | undefined {
    return this.#requests.get(generation);
  }

  enter(request: FleetRequest): void {
    this.#requests.set(request.generation, request);
    this.accounts.enter(request.facts.client);
  }

  /** Tokens that an answer is likely to get yet. */
  expectedLeft({ facts, generated }: FleetRequest): number {
    return this.#lengths.expectedLeft(generated, facts.params.sampling.maxTokens);
  }

  /** Ends it with what a board said. */
  done(request: FleetRequest, end: DoneEvent): void {
    if (end.reason === 'end-of-text' || end.reason === 'stop') this.#lengths.ended(end.tokens);
    // The time that it waited here counts.
    const { facts, releasedAt } = request;
    const waitedMs = (releasedAt ?? facts.arrivedAt) - facts.arrivedAt;
    this.end(request, { ...end, timing: { ...end.timing, queuedMs: end.timing.queuedMs + waitedMs } });
  }

  /** Ends it as cancelled where no board says so. */
  endCancelled(request: FleetRequest): void {
    const { facts, generated } = request;
    const queuedMs = this.#clock.now() - facts.arrivedAt;
    const promptTokens = facts.params.prompt.tokens.length;
    this.end(request, {
      type: 'done',
      reason: 'cancelled',
      text: '',
      tokens: generated,
      timing: { queuedMs, prefillMs: 0, decodeMs: 0, promptTokens, generatedTokens: generated },
      counters: newCost(),
    });
  }

  fail(request: FleetRequest, error: PynqLlmError): void {
    this.end(request, { type: 'failed', error: errorToWire(error, 'AGENT_INTERNAL') });
  }

  end(request: FleetRequest, event: GenerateEvent): void {
    if (request.ended) return;
    request.ended = true;
    this.#requests.delete(request.generation);
    this.accounts.leave(request.facts.client);
    if (request.releasedAt !== undefined) this.rate.end(this.#clock.now());
    request.spans.ended(event);
    request.sink.onEvent(event);
  }
}
