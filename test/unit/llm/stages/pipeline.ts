import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { PynqLlmError } from '../../../../errors/index.js';
import type { GgufFile } from '../../../../gguf/index.js';
import { Engine } from '../../../../llm/engine/engine.js';
import type { EngineOptions } from '../../../../llm/engine/options.js';
import { kvShapeOfStage, modelShape } from '../../../../llm/memory/index.js';
import { type LoadOptions, loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { Stage, type StageBatch, stagePool } from '../../../../llm/stages/index.js';
import { type MockBoard, openMockBoard } from '../../../../mock-device/index.js';

interface Hop {
  /** As it would come over a wire. */
  readonly batch: StageBatch;
  readonly hidden: Float32Array | undefined;
}

export interface PipelineOptions {
  readonly board?: string;
  readonly timing?: 'systemc' | 'synthesised';
  readonly load?: Omit<LoadOptions, 'range' | 'accelerator' | 'kvPool'>;
  /** Without boards everything is the CPU's. */
  readonly hasBoards?: boolean;
  /** Bytes of keys and values on each board that holds all layers: a stage has its part. */
  readonly kvBytes?: number;
}

const MOST = 1 << 24;

/** A model cut into stages, each with a board of its own, in one process. Where a hop is on its way is for the test to say. */
export class Pipeline {
  readonly boards: MockBoard[] = [];
  readonly models: Model[];
  readonly stages: Stage[];
  /** Before each stage, what comes to it, in order. */
  readonly #lines: Hop[][];
  engine: Engine;
  /** As the engine began it. */
  lastBatch: StageBatch | undefined;
  /** The most batches that were under way. */
  mostUnderWay = 0;
  #underWay = 0;
  readonly #accelerators: Accelerator[] = [];

  /** @param cuts the first layer of each stage but the first */
  constructor(gguf: GgufFile, cuts: readonly number[], options: PipelineOptions = {}) {
    const { board = 'kv260', timing = 'systemc', hasBoards = true } = options;
    const layers = Number(gguf.metadata.get(`${gguf.metadata.get('general.architecture')}.block_count`));
    const ranges = [...cuts, layers].map((to, i) => ({ from: i === 0 ? 0 : cuts[i - 1]!, to }));
    const { kvBytes = MOST } = options;
    const shape = modelShape(gguf);
    const parts = ranges.map((range) => ({
      shape: kvShapeOfStage(shape, range),
      bytes: (kvBytes * (range.to - range.from)) / layers,
    }));
    const kvPool = stagePool(parts, options.load?.kvType ?? 'f16');
    this.models = ranges.map((range) => {
      if (!hasBoards) return loadModel(gguf, { ...options.load, range, kvPool });
      const mock = openMockBoard({ ...loadBoardDescription(board), timing });
      const accelerator = new Accelerator(mock);
      this.boards.push(mock);
      this.#accelerators.push(accelerator);
      return loadModel(gguf, { ...options.load, accelerator, range, kvPool });
    });
    this.stages = this.models.slice(0, -1).map((model) => new Stage(model));
    this.#lines = this.models.map(() => []);
    this.engine = new Engine(this.last);
  }

  get last(): Model {
    return this.models.at(-1)!;
  }

  /** Begins anew, as a plan after another one: what is on its way is lost, and stages forget their caches. */
  restart(options: EngineOptions): void {
    this.engine.abort(new PynqLlmError('LLM_STAGE_BATCH', 'The plan has ended.'));
    this.#reset();
    this.engine = new Engine(this.last, { microBatches: this.models.length, ...options });
  }

  /** Places where a batch waits to be computed. */
  get waiting(): number[] {
    return this.#lines.flatMap((line, i) => (line.length > 0 ? [i] : []));
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** The engine begins a batch, if it has something to do. */
  begin(): boolean {
    const batch = this.engine.begin();
    if (batch === undefined) return false;
    this.lastBatch = batch;
    this.#lines[0]!.push({ batch: structuredClone(batch), hidden: undefined });
    this.#underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.#underWay);
    return true;
  }

  /** Stage `i` computes the batch that came first. */
  compute(i: number): void {
    const { batch, hidden } = this.#lines[i]!.shift()!;
    const stage = this.stages[i];
    if (stage === undefined) {
      this.#underWay--;
      this.engine.complete(batch.number, hidden);
    } else this.#lines[i + 1]!.push({ batch, hidden: structuredClone(stage.run(batch, hidden)) });
  }

  /** Until nothing is left to do. @param choose which of so many is next */
  run(choose: (below: number) => number = () => 0): void {
    for (;;) {
      const { waiting } = this;
      const next = choose(waiting.length + 1);
      if (next === waiting.length || waiting.length === 0) {
        if (this.begin()) continue;
        if (waiting.length === 0) return;
      }
      this.compute(waiting[next] ?? waiting.at(-1)!);
    }
  }

  #reset(): void {
    for (const line of this.#lines) line.length = 0;
    this.#underWay = 0;
    for (const stage of this.stages) stage.reset();
  }

  close(): void {
    for (const model of this.models) model.close();
    for (const accelerator of this.#accelerators) accelerator.close();
  }
}
