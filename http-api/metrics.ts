import { Counter, Gauge, Registry } from 'prom-client';
import type { BoardClient, DoneEvent, EngineMetricsReading } from '../sdk/index.js';
import { boardText } from './board-metrics.js';
import { fleetText } from './fleet-metrics.js';
import { histogramText } from './histogram-text.js';
import { counterText, gaugeText } from './metric-text.js';
import { UnitCycles } from './unit-cycles.js';

const CLASSES = ['interactive', 'batch'] as const;
/** What became of requests. */
const OUTCOMES = ['finished', 'failed', 'cancelled', 'refused'] as const;

/** Histograms of the engine. */
const HISTOGRAMS = [
  {
    name: 'time_to_first_token_seconds',
    help: 'From a request to its first token',
    of: 'firstTokenMs',
    scale: 0.001,
  },
  {
    name: 'time_between_tokens_seconds',
    help: 'From each token to the next',
    of: 'betweenTokensMs',
    scale: 0.001,
  },
  { name: 'queue_seconds', help: 'From a request to its first column', of: 'queueMs', scale: 0.001 },
  {
    name: 'step_occupancy_ratio',
    help: 'Part of the columns of each step that the class had',
    of: 'occupancy',
    scale: 1,
  },
] as const;

/** What `/metrics` reports (docs/http-api.md says what each means). Names and units as Prometheus wants them. */
export class ApiMetrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'HTTP requests answered', ['route', 'status']);
  readonly #failures = this.#counter('failures_total', 'Requests that ended in an error', ['code']);
  readonly #prompt = this.#counter('prompt_tokens_total', 'Prompt tokens of finished generations');
  readonly #generated = this.#counter('generated_tokens_total', 'Tokens of finished generations');
  readonly #cycles = this.#counter('core_cycles_total', 'Core cycles of finished generations');
  readonly #dma = this.#counter('dma_bytes_total', 'Bytes that DMA moved for finished generations');
  readonly #running = this.#gauge('generations', 'Generations that run or wait on the board');
  readonly #sessions = this.#gauge('sessions', 'Clients connected to the agent');
  readonly #unitCycles = new UnitCycles();

  /** A request was answered. */
  answered(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }

  finished({ timing, tokens, counters }: DoneEvent): void {
    this.#prompt.inc(timing.promptTokens);
    this.#generated.inc(tokens);
    this.#cycles.inc(counters.coreCycles);
    this.#dma.inc(counters.dmaBytes);
  }

  /** The text of `/metrics`, with the board's state of this moment; the engine's part only while there is a device. */
  async text(board: BoardClient): Promise<string> {
    const { state, generations, sessions, dmaMemory } = await board.health();
    this.#running.set(generations);
    this.#sessions.set(sessions);
    // A fleet has none, nor has a board whose device is not there: that is not the same as 0.
    const free =
      dmaMemory === undefined
        ? ''
        : gaugeText('dma_memory_free_bytes', 'DMA memory that is free', [['', dmaMemory.free]]);
    const own = (await this.#registry.metrics()) + free;
    if (state !== 'ready') return own;
    if (board.info.fleet !== undefined) {
      const [engine, fleet] = await Promise.all([board.metrics(), board.fleetStatus()]);
      return own + fleetText(board.info, engine, fleet) + engineText(engine);
    }
    const [engine, counted] = await Promise.all([board.metrics(), board.counters.read()]);
    const units = this.#unitCycles.take(counted.counters, board.info.description.clockHz, performance.now());
    return own + boardText(board.info, engine.models, counted.traffic, units) + engineText(engine);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `pynq_llm_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `pynq_llm_${name}`, help, registers: [this.#registry] });
  }
}

/** What the agent counts for all its clients, not only those of this API. */
function engineText({ classes, models, ...totals }: EngineMetricsReading): string {
  const histograms = HISTOGRAMS.map(({ name, of, ...rest }) =>
    histogramText({
      ...rest,
      name: `pynq_llm_${name}`,
      values: { interactive: classes.interactive[of], batch: classes.batch[of] },
    }),
  );
  const requests = CLASSES.flatMap((served) =>
    OUTCOMES.map(
      (outcome) => [`{class="${served}",outcome="${outcome}"}`, classes[served][outcome]] as const,
    ),
  );
  const preempted = CLASSES.map((served) => [`{class="${served}"}`, classes[served].preempted] as const);
  return [
    ...histograms,
    counterText('generations_total', 'Generations by class and how they ended', requests),
    counterText('preemptions_total', 'Times that a sequence gave up its memory', preempted),
    counterText('steps_total', 'Steps of the engine', [['', totals.steps]]),
    counterText('columns_total', 'Columns computed', [['', totals.columns]]),
    counterText('step_faults_total', 'Steps during which the device failed', [['', totals.faults]]),
    counterText('step_recoveries_total', 'Steps that succeeded when tried again', [['', totals.recovered]]),
    ...kvTexts(models),
  ].join('');
}

type KvReading = NonNullable<EngineMetricsReading['models'][number]['kv']>;

/** Pages of keys and values, by the digest of the model. */
function kvTexts(models: EngineMetricsReading['models']): string[] {
  const each = (values: (kv: KvReading) => Readonly<Record<string, number>>) =>
    models.flatMap(({ model, kv }) =>
      kv === undefined
        ? []
        : Object.entries(values(kv)).map(
            ([labels, value]) => [`{model="${model}"${labels}}`, value] as const,
          ),
    );
  const pages = each(({ pages, used, cached }) => ({
    ',state="used"': used,
    ',state="cached"': cached,
    ',state="free"': pages - used - cached,
  }));
  return [
    gaugeText('kv_pages', 'Pages of keys and values, 16 tokens each', pages),
    gaugeText(
      'kv_pinned_pages',
      'Pages that are never thrown out',
      each(({ pinned }) => ({ '': pinned })),
    ),
    gaugeText(
      'kv_bytes',
      'Bound of keys and values',
      each(({ bytes }) => ({ '': bytes })),
    ),
    counterText(
      'kv_hits_total',
      'Pages that were shared, not computed',
      each(({ hits }) => ({ '': hits })),
    ),
    counterText(
      'kv_evictions_total',
      'Pages thrown out',
      each(({ evictions }) => ({ '': evictions })),
    ),
    counterText(
      'kv_restores_total',
      'Sequences read back',
      each(({ restored }) => ({ '': restored })),
    ),
    counterText(
      'kv_spill_failures_total',
      'Sequences that could not be spilled or read back',
      each(({ spillFailures }) => ({ '': spillFailures })),
    ),
  ];
}
