import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BoardClient, DoneEvent } from '../sdk/index.js';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** What `/metrics` reports (docs/http-api.md says what each means). Names and units as Prometheus wants them. */
export class ApiMetrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'HTTP requests answered', ['route', 'status']);
  readonly #failures = this.#counter('failures_total', 'Requests that ended in an error', ['code']);
  readonly #prompt = this.#counter('prompt_tokens_total', 'Prompt tokens of finished generations');
  readonly #generated = this.#counter('generated_tokens_total', 'Tokens of finished generations');
  readonly #cycles = this.#counter('core_cycles_total', 'Core cycles of finished generations');
  readonly #dma = this.#counter('dma_bytes_total', 'Bytes that DMA moved for finished generations');
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'From the request to its first token',
  );
  readonly #betweenTokens = this.#histogram('time_between_tokens_seconds', 'Mean of each generation');
  readonly #queued = this.#histogram('queue_seconds', 'From the request until its first step');
  readonly #running = this.#gauge('generations', 'Generations that run or wait on the board');
  readonly #sessions = this.#gauge('sessions', 'Clients connected to the agent');
  readonly #dmaFree = this.#gauge('dma_memory_free_bytes', 'DMA memory that is free');

  /** A request was answered. */
  answered(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }

  /** @param startedAt by performance.now() */
  firstToken(startedAt: number): void {
    this.#firstToken.observe((performance.now() - startedAt) / 1000);
  }

  finished({ timing, tokens, counters }: DoneEvent): void {
    this.#prompt.inc(timing.promptTokens);
    this.#generated.inc(tokens);
    this.#cycles.inc(counters.coreCycles);
    this.#dma.inc(counters.dmaBytes);
    this.#queued.observe(timing.queuedMs / 1000);
    if (tokens > 1) this.#betweenTokens.observe(timing.decodeMs / 1000 / (tokens - 1));
  }

  /** The text of `/metrics`, with the board's state of this moment. */
  async text(board: BoardClient): Promise<string> {
    const { generations, sessions, dmaMemory } = await board.health();
    this.#running.set(generations);
    this.#sessions.set(sessions);
    if (dmaMemory !== undefined) this.#dmaFree.set(dmaMemory.free);
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `pynq_llm_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name: `pynq_llm_${name}`, help, buckets: SECONDS, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `pynq_llm_${name}`, help, registers: [this.#registry] });
  }
}
