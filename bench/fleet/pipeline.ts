import type { Link } from '../../fleet/index.js';
import { Ports } from './ports.js';
import { VirtualClock } from './virtual-clock.js';

/** A stage, by what it takes for columns of which so many want logits. */
export type StageMs = (columns: number, logits: number) => number;

/** Columns that go through the stages together. */
interface MicroBatch {
  readonly columns: number;
  readonly logits: number;
}

/** Takes micro-batches through stages: each stage has one at a time, in the order of their coming. */
class Stages {
  readonly clock = new VirtualClock();
  readonly #ports: Ports;
  readonly #queues: MicroBatch[][];
  readonly #busy: boolean[];

  /** @param onEnd after the last stage */
  constructor(
    readonly stages: readonly StageMs[],
    readonly link: Link,
    readonly hiddenBytes: number,
    readonly onEnd: (batch: MicroBatch) => void,
  ) {
    this.#ports = new Ports(this.clock, link, stages.length);
    this.#queues = stages.map(() => []);
    this.#busy = stages.map(() => false);
  }

  enter(batch: MicroBatch, stage = 0): void {
    this.#queues[stage]!.push(batch);
    this.#begin(stage);
  }

  /** Tells the first stage something small from the last. */
  tellFirst(bytes: number, told: () => void): void {
    const last = this.stages.length - 1;
    if (last === 0) told();
    else this.#ports.send(last, 0, bytes, told);
  }

  #begin(stage: number): void {
    if (this.#busy[stage]) return;
    const batch = this.#queues[stage]!.shift();
    if (batch === undefined) return;
    this.#busy[stage] = true;
    this.clock.set(this.clock.now + this.stages[stage]!(batch.columns, batch.logits), () => {
      this.#busy[stage] = false;
      if (stage === this.stages.length - 1) this.onEnd(batch);
      else
        this.#ports.send(stage, stage + 1, batch.columns * this.hiddenBytes, () =>
          this.enter(batch, stage + 1),
        );
      this.#begin(stage);
    });
  }
}

/**
 * Generates by a pipeline: a micro-batch enters again when its tokens have come back to the first stage.
 * @param hiddenBytes of a column between stages
 * @returns milliseconds until the last token, the filling of the pipeline among them
 */
export function generateMs(
  stages: readonly StageMs[],
  link: Link,
  hiddenBytes: number,
  {
    batches,
    columns,
    tokens,
  }: { readonly batches: number; readonly columns: number; readonly tokens: number },
): number {
  const left = new Map<MicroBatch, number>();
  const pipeline = new Stages(stages, link, hiddenBytes, (batch) => {
    const after = left.get(batch)! - 1;
    left.set(batch, after);
    if (after > 0) pipeline.tellFirst(4 * columns, () => pipeline.enter(batch));
  });
  for (let i = 0; i < batches; i++) {
    const batch = { columns, logits: columns };
    left.set(batch, tokens);
    pipeline.enter(batch);
  }
  return pipeline.clock.run();
}

/**
 * Takes one prompt through a pipeline in chunks, one behind the other; the last column of all wants logits.
 * @returns milliseconds until its first token
 */
export function promptMs(
  stages: readonly StageMs[],
  link: Link,
  hiddenBytes: number,
  { tokens, chunk }: { readonly tokens: number; readonly chunk: number },
): number {
  const pipeline = new Stages(stages, link, hiddenBytes, () => undefined);
  for (let done = 0; done < tokens; done += chunk) {
    const columns = Math.min(chunk, tokens - done);
    pipeline.enter({ columns, logits: done + columns === tokens ? 1 : 0 });
  }
  return pipeline.clock.run();
}
