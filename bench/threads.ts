import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { loadBoardDescription } from '../board/index.js';
import { Accelerator } from '../driver/index.js';
import { fileSource, type GgufTensor, openGguf } from '../gguf/index.js';
import { loadModel, modelShape, rateOfRows, rowShares } from '../llm/index.js';
import { openMockBoard } from '../mock-device/index.js';
import { type BenchOptions, type BenchRow, median, row } from './row.js';
import { SMALL, syntheticModel, TINY_LLAMA_Q2_K } from './synthetic-model.js';

/** All weights resident, 100 MHz, synthesised timing. */
const BOARD = 'pynq-z1-360';
const CONTEXT = 128;
const WARM_UP = 3;

/** A run of so many threads. */
interface ThreadsRun {
  /** Of a token, the median. */
  readonly seconds: number;
  /** Of the rows that the core and the CPU share, by the rates that the shares follow from. */
  readonly sharedSeconds: number;
  /** Of these rows on the core alone. */
  readonly aloneSeconds: number;
  /** Of all logits. */
  readonly digest: string;
}

/**
 * Decoding on a mock that takes a board's time, with the CPU's other threads computing rows while the core computes the others.
 * Baseline of a number of threads: what the rates say that it makes of one thread's time.
 */
export function benchThreads({ quick, onNote }: BenchOptions): BenchRow[] {
  onNote(
    quick
      ? 'threads: writing a small model'
      : 'threads: the synthetic model (359 MiB, kept in the temporary folder)',
  );
  const path = syntheticModel(quick ? SMALL : TINY_LLAMA_Q2_K);
  const most = Math.max(2, availableParallelism());
  const rows: BenchRow[] = [];
  let alone: ThreadsRun | undefined;
  for (let threads = 1; threads <= most; threads++) {
    onNote(`threads: ${threads} of ${most}`);
    const run = decode(path, threads, quick ? 8 : 16);
    alone ??= run;
    const predicted = alone.seconds - run.aloneSeconds + run.sharedSeconds;
    const name = `threads ${threads} on mock:${BOARD}?realtime=1`;
    rows.push(
      row(`${name} speed`, 1 / run.seconds, 'tokens/s', threads === 1 ? null : 1 / predicted),
      row(`${name} logits with the bits of one thread`, run.digest === alone.digest ? 1 : 0, 'of 1', 1),
    );
  }
  return rows;
}

function decode(path: string, threads: number, tokens: number): ThreadsRun {
  const source = fileSource(path);
  const gguf = openGguf(source);
  const board = openMockBoard(loadBoardDescription(BOARD), { realTime: true });
  const accelerator = new Accelerator(board);
  const { matrices } = modelShape(gguf);
  const shares = rowShares(
    matrices,
    accelerator.plan(matrices),
    board.description,
    (type) => (threads - 1) * rateOfRows(type),
  );
  const cpuRows = ({ name }: GgufTensor) => shares.rows.get(name) ?? 0;
  const model = loadModel(gguf, { accelerator, contextLength: CONTEXT, maxColumns: 1, threads, cpuRows });
  try {
    const cache = model.newCache();
    const logits = new Float32Array(model.config.vocabSize);
    const digest = createHash('sha256');
    const seconds: number[] = [];
    let token = 1;
    for (let position = 0; position < WARM_UP + tokens; position++) {
      const begin = performance.now();
      model.forward([{ cache, token, position, logits }]);
      if (position >= WARM_UP) seconds.push((performance.now() - begin) / 1000);
      digest.update(new Uint8Array(logits.buffer));
      token = logits.reduce((best, value, id) => (value > logits[best]! ? id : best), 0);
    }
    return {
      seconds: median(seconds),
      sharedSeconds: shares.seconds,
      aloneSeconds: shares.secondsAlone,
      digest: digest.digest('hex'),
    };
  } finally {
    model.close();
    accelerator.close();
    source.close();
  }
}
