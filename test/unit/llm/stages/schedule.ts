import { expect } from 'vitest';
import { isPynqLlmError, PynqLlmError } from '../../../../errors/index.js';
import type { Engine } from '../../../../llm/engine/engine.js';
import type { EngineGeneration } from '../../../../llm/engine/generation.js';
import type { ServiceOptions } from '../../../../llm/engine/job.js';
import type { EngineOptions } from '../../../../llm/engine/options.js';
import type { GenerateRequest, GenerationResult, TokenOutput } from '../../../../llm/engine/request.js';
import type { KvPin } from '../../../../llm/kv/pool.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import type { Bench } from '../models.js';
import type { Pipeline } from './pipeline.js';

type Choose = (below: number) => number;

/** A request on its way, wherever it is computed. */
export class Followed {
  readonly tokens: TokenOutput[] = [];
  result: GenerationResult | undefined;
  error: Error | undefined;
  credit = 0;
  isCancelled = false;
  #part = 0;
  #now: EngineGeneration | undefined;
  #engine: Engine | undefined;

  constructor(
    readonly index: number,
    readonly request: GenerateRequest,
    readonly service: ServiceOptions,
  ) {}

  get isOver(): boolean {
    return this.result !== undefined || this.error !== undefined;
  }

  isOn(engine: Engine): boolean {
    return !this.isOver && this.#engine === engine;
  }

  /** Goes on there after the tokens that it has; a beam search has none, and begins again. */
  goOn(engine: Engine): void {
    this.#now?.cancel();
    this.isCancelled = false;
    this.#engine = engine;
    const part = ++this.#part;
    const own =
      <T>(take: (value: T) => void) =>
      (value: T) => {
        if (part === this.#part) take(value);
      };
    const continueFrom = this.tokens.map(({ id }) => id);
    const request = {
      ...this.request,
      credit: this.credit,
      ...(continueFrom.length > 0 && { continueFrom }),
    };
    const sink = {
      onToken: (token: TokenOutput) => {
        // Whoever was left says nothing more.
        expect(part).toBe(this.#part);
        this.tokens.push(token);
      },
      onDone: own((result: GenerationResult) => {
        this.result = result;
      }),
      onError: own((error: PynqLlmError) => {
        this.error = error;
      }),
    };
    this.#now = engine.submit(request, sink, this.service);
  }

  read(more: number): void {
    this.credit += more;
    this.#now?.grant(this.credit);
  }

  cancel(): void {
    this.isCancelled = true;
    this.#now?.cancel();
  }
}

export interface ScheduleCounts {
  finished: number;
  cancelled: number;
  aborted: number;
  left: number;
  stolen: number;
  drained: number;
  /** Schedules in which as many batches as there are stages were under way. */
  full: number;
  /** Batches that were under way when a plan was lost, and the most of one plan. */
  lost: number;
  mostLost: number;
  pinned: number;
  /** Batches that gave a sequence several tokens. */
  speculated: number;
}

export const newCounts = (): ScheduleCounts => ({
  finished: 0,
  cancelled: 0,
  aborted: 0,
  left: 0,
  stolen: 0,
  drained: 0,
  full: 0,
  lost: 0,
  mostLost: 0,
  pinned: 0,
  speculated: 0,
});

const SERVICES: readonly ServiceOptions[] = [
  { class: 'interactive' },
  { class: 'interactive', priority: 9, client: ['a'] },
  { class: 'batch', client: ['a'] },
  { class: 'batch', priority: 1, client: ['b'] },
];

export interface ScheduleInput {
  readonly requests: readonly GenerateRequest[];
  /** The same model, cut in several ways. */
  readonly pipelines: readonly Pipeline[];
  /** Another board, with all of it. */
  readonly elsewhere: Bench;
  readonly choose: Choose;
  readonly metrics?: EngineMetrics;
  readonly counts: ScheduleCounts;
}

/**
 * A random schedule: requests join and read as they like, are cancelled, and stolen by another board; boards leave, which completes
 * what is under way, plans are drained, and lost at any point; others with other cuts take over.
 */
export function runSchedule(input: ScheduleInput): Followed[] {
  const { requests, pipelines, elsewhere, choose, counts, metrics = new EngineMetrics() } = input;
  let clock = 0;
  const options: EngineOptions = {
    metrics,
    maxSequences: 1 + choose(8),
    maxHeld: 2 + choose(7),
    agingMs: 50,
    now: () => (clock += 1 + choose(20)),
  };
  let pipeline = pipelines[choose(pipelines.length)]!;
  pipeline.restart(options);
  const all: Followed[] = [];
  const pins: KvPin[] = [];
  let toCome = 3 + choose(5);
  let isDraining = false;

  const replan = () => {
    pins.length = 0;
    pipeline = pipelines[choose(pipelines.length)]!;
    pipeline.restart(options);
  };
  /** What has not ended goes on by continuation on the next plan. */
  const end = () => {
    const { engine } = pipeline;
    const running = all.filter((one) => one.isOn(engine));
    engine.abort(new PynqLlmError('LLM_STAGE_BATCH', 'A stage is lost.'));
    expect(engine.count).toBe(0);
    expect(pipeline.last.kvPool.memory.freeFrames).toBe(pipeline.last.kvPool.memory.frames);
    replan();
    for (const one of running) {
      // Cancelled with a batch of it under way.
      if (one.isCancelled) {
        expect(one.result?.reason).toBe('cancelled');
        continue;
      }
      expect(one.error).toMatchObject({ code: 'LLM_STAGE_BATCH' });
      one.error = undefined;
      one.goOn(pipeline.engine);
    }
  };
  const lose = () => {
    counts.aborted++;
    counts.lost += pipeline.underWay;
    counts.mostLost = Math.max(counts.mostLost, pipeline.underWay);
    end();
  };
  /** A device that fails twice costs the plan, or on the last stage the batch: what had a part in it goes on after its tokens. */
  const compute = (stage: number) => {
    try {
      pipeline.compute(stage);
    } catch (error) {
      if (!isPynqLlmError(error) || !error.code.startsWith('DRIVER_')) throw error;
      lose();
    }
    for (const one of all) {
      if (!isPynqLlmError(one.error) || !one.error.code.startsWith('DRIVER_')) continue;
      one.error = undefined;
      one.goOn(pipeline.engine);
    }
  };
  const leave = () => {
    counts.left++;
    const { engine } = pipeline;
    while (pipeline.waiting.length > 0 && pipeline.engine === engine)
      compute(pipeline.waiting[choose(pipeline.waiting.length)]!);
    if (pipeline.engine === engine) end();
  };

  while (toCome > 0 || pipeline.engine.count > 0 || elsewhere.engine.count > 0) {
    if (isDraining && pipeline.engine.count === 0) {
      isDraining = false;
      counts.drained++;
      end();
    }
    if (toCome > 0 && !isDraining && choose(3) === 0) {
      toCome--;
      const index = choose(requests.length);
      // Now and then several answers to one prompt.
      for (let answers = choose(4) === 0 ? 3 : 1; answers > 0; answers--) {
        const one = new Followed(index, requests[index]!, SERVICES[choose(SERVICES.length)]!);
        one.credit = choose(4);
        one.goOn(pipeline.engine);
        all.push(one);
      }
    }
    for (const one of all) {
      if (one.isOver) continue;
      one.read(choose(4));
      if (choose(120) === 0) one.cancel();
      else if (choose(80) === 0 && one.isOn(pipeline.engine)) {
        counts.stolen++;
        one.goOn(elsewhere.engine);
      }
    }
    const chance = choose(150);
    if (chance === 0) lose();
    else if (chance === 1) leave();
    else if (chance === 2) isDraining = pipeline.engine.count > 0;
    else if (chance < 6) counts.pinned += pin(pipeline.engine, requests[choose(requests.length)]!, pins);
    else if (chance < 9) pins.pop()?.release();
    if (choose(60) === 0 && pipeline.boards.length > 0)
      pipeline.boards[choose(pipeline.boards.length)]!.injectFault({
        name: 'dma-decode-error',
        after: choose(20),
      });
    for (let actions = 1 + choose(6); actions > 0; actions--) {
      const { waiting } = pipeline;
      const next = choose(waiting.length + 2);
      const before = all.map(({ tokens }) => tokens.length);
      if (next < waiting.length) compute(waiting[next]!);
      else if (pipeline.underWay <= pipeline.models.length) pipeline.begin();
      counts.speculated += all.filter(({ tokens }, i) => tokens.length > before[i]! + 1).length;
    }
    if (elsewhere.engine.hasWork) elsewhere.engine.step();
  }
  while (pipeline.waiting.length > 0) compute(pipeline.waiting.at(-1)!);
  if (pipeline.mostUnderWay >= pipeline.models.length) counts.full++;
  for (const pin of pins) pin.release();
  expect(pipeline.last.kvPool.stats.used).toBe(0);
  return all;
}

/** Asks for the pages of a prompt to be kept, if there is room. */
function pin(engine: Engine, { prompt }: GenerateRequest, pins: KvPin[]): number {
  try {
    engine.pin(prompt, {
      onDone: (pin) => pins.push(pin),
      onCancelled: () => undefined,
      onError: () => undefined,
    });
    return 1;
  } catch {
    return 0;
  }
}

const saidOf = (tokens: readonly TokenOutput[]) =>
  tokens.map(({ index, id, text, logprob, top }) => ({ index, id, text, logprob, top }));

/** Each has got what it gets alone on one board, to the bit: all of it, or the beginning where it was cancelled. */
export function expectAsAlone(
  given: readonly Followed[],
  alone: readonly { readonly tokens: readonly TokenOutput[]; readonly result?: GenerationResult }[],
  counts: ScheduleCounts,
): void {
  for (const { index, tokens, result, error } of given) {
    const expected = alone[index]!;
    expect(error).toBeUndefined();
    if (result?.reason === 'cancelled') counts.cancelled++;
    else {
      counts.finished++;
      expect(tokens).toHaveLength(expected.tokens.length);
      expect(result?.reason).toBe(expected.result?.reason);
      expect(result?.beams).toEqual(expected.result?.beams);
    }
    expect(saidOf(tokens)).toEqual(saidOf(expected.tokens.slice(0, tokens.length)));
  }
}
