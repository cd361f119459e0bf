import type { BoardDescription } from '../../board/index.js';
import {
  computeTensor,
  type FleetModel,
  type Link,
  planGroups,
  planPipeline,
  sendMs,
} from '../../fleet/index.js';
import { type LayerRange, StepCost } from '../../llm/index.js';
import { differingShares, ringStepMs } from './all-reduce.js';
import { answersMs } from './data-parallel.js';
import { generateMs, promptMs, type StageMs } from './pipeline.js';
import { kv260, pynqZ1, TIMINGS, type Timing } from './timings.js';

/** Sequences that a board runs at a time. */
const SEQUENCES = 8;
/** Tokens of an answer: the filling of a pipeline is a part of it. */
const TOKENS = 1024;
const PROMPT = 2048;
const PAGE_TOKENS = 16;
const CHUNKS = [8, 16, 32, 48, 64];
const BOARDS = [2, 4, 8];
export const ROUND_TRIPS = [0.1, 0.2, 0.5, 0.74, 1, 2];

/** What armv7's instructions of a token are, by its context: `bench board`, a PYNQ-Z1 with all of TinyLlama Q3_K_S resident. */
const TOKEN_INSTRUCTIONS = { context: 256, millions: 163.8 } as const;

/** One figure of several boards beside one. Plain data. */
export interface ScalingRow {
  readonly what: string;
  readonly timing: string;
  readonly board: string;
  readonly boards: number;
  readonly roundTripMs: number;
  /** Core cycles of the virtual clock that a token takes: of all boards together, and of one alone. */
  readonly cyclesPerToken: number;
  readonly alone: number;
  /** alone / cyclesPerToken */
  readonly gain: number;
  /** Where the board could not do it alone, or what was chosen. */
  readonly note: string;
  /** Millions of armv7 instructions of a token at a context of 256 on the board that executes most, where they are known. */
  readonly instructions: number | null;
}

const RESIDENT = 'one board hypothetical: all resident';

/** Every way to use several boards, in every timing. */
export function scalingRows(model: FleetModel, link: Link, allReduce: boolean): ScalingRow[] {
  // Of the order of sums alone: the same in every timing.
  const shares = allReduce ? differingShares(BOARDS) : undefined;
  return TIMINGS.flatMap((timing) => [
    ...pipelineRows(model, link, timing),
    ...promptRows(model, link, timing),
    ...dataParallelRows(model, link, timing),
    ...tensorRows(model, link, timing),
    ...pairRows(model, link, timing),
    ...(shares === undefined ? [] : ringRows(model, link, timing, shares)),
  ]);
}

/** Exact tensor parallelism by the links' round trip. */
export function roundTripRows(model: FleetModel, link: Link): ScalingRow[] {
  return TIMINGS.flatMap((timing) =>
    ROUND_TRIPS.flatMap((roundTripMs) => tensorRows(model, { ...link, roundTripMs }, timing)),
  );
}

interface Figure {
  readonly what: string;
  readonly timing: Timing;
  readonly board: BoardDescription;
  readonly boards: number;
  readonly link: Link;
  /** Of a token. */
  readonly ms: number;
  readonly aloneMs: number;
  readonly note: string;
  readonly instructions?: number;
}

function row({ what, timing, board, boards, link, ms, aloneMs, note, instructions }: Figure): ScalingRow {
  const cycles = (time: number) => Math.round((time * board.clockHz) / 1_000);
  return {
    what,
    timing: timing.name,
    board: board.name,
    boards,
    roundTripMs: link.roundTripMs,
    cyclesPerToken: cycles(ms),
    alone: cycles(aloneMs),
    gain: aloneMs / ms,
    note,
    instructions: instructions === undefined ? null : Math.round(instructions * 10) / 10,
  };
}

/** What the plans are for: boards of so much DMA memory that all is resident. */
function planned(model: FleetModel, timing: Timing, boards: number, columns: number, logits: number) {
  const board = pynqZ1(timing, boards === 2 ? 256 : 128);
  const plan = planPipeline(model, new Array<BoardDescription>(boards).fill(board), { columns, logits });
  const cost = new StepCost(model.step, board);
  const stages = plan.stages.map(
    (range): StageMs =>
      (n, wanted) =>
        cost.ms(n, wanted, range),
  );
  return { board, cost, stages, plan, cut: cutOf(plan.stages) };
}

function cutOf(stages: readonly LayerRange[]): string {
  return `layers ${stages.map(({ from, to }) => to - from).join(', ')} + output`;
}

function hiddenBytes({ memory }: FleetModel): number {
  return 4 * memory.embedding;
}

interface Streams {
  readonly model: FleetModel;
  readonly common: Pick<Figure, 'timing' | 'board' | 'boards' | 'link' | 'note'>;
  readonly cost: StepCost;
  readonly stages: readonly StageMs[];
  readonly many: Pick<Figure, 'what' | 'instructions'>;
  readonly one: Pick<Figure, 'what'>;
}

/** As many micro-batches of sequences as stages, and one stream. */
function streamRows({ model, common, cost, stages, many, one }: Streams): ScalingRow[] {
  const run = (of: readonly StageMs[], batches: number, columns: number) =>
    generateMs(of, common.link, hiddenBytes(model), { batches, columns, tokens: TOKENS }) /
    (batches * columns * TOKENS);
  const whole: StageMs[] = [(n, wanted) => cost.ms(n, wanted)];
  return [
    row({
      ...common,
      ...many,
      ms: run(stages, stages.length, SEQUENCES),
      aloneMs: run(whole, 1, SEQUENCES),
    }),
    row({ ...common, ...one, ms: run(stages, 1, 1), aloneMs: run(whole, 1, 1) }),
  ];
}

function pipelineRows(model: FleetModel, link: Link, timing: Timing): ScalingRow[] {
  return BOARDS.flatMap((boards) => {
    const { board, cost, stages, plan, cut } = planned(model, timing, boards, SEQUENCES, SEQUENCES);
    const layers = Math.max(...plan.stages.map(({ from, to }) => to - from)) / model.step.layers.length;
    const what = `pipeline, ${SEQUENCES} sequences a board`;
    return streamRows({
      model,
      common: { timing, board, boards, link, note: `${cut}; ${RESIDENT}` },
      cost,
      stages,
      many: { what, instructions: layers * TOKEN_INSTRUCTIONS.millions },
      one: { what: 'pipeline, one stream' },
    });
  });
}

/** By the cut for tokens, and by one for prompts, which use the output matrix once. */
function promptRows(model: FleetModel, link: Link, timing: Timing): ScalingRow[] {
  return BOARDS.flatMap((boards) =>
    [SEQUENCES, 0].map((logits) => {
      const { board, cost, stages, cut } = planned(model, timing, boards, logits || PAGE_TOKENS, logits);
      const best = (of: readonly StageMs[]) =>
        CHUNKS.map((chunk) => ({
          chunk,
          ms: promptMs(of, link, hiddenBytes(model), { tokens: PROMPT, chunk }) / PROMPT,
        })).reduce((a, b) => (b.ms < a.ms ? b : a));
      const [here, alone] = [best(stages), best([(n, wanted) => cost.ms(n, wanted)])];
      return row({
        what: `pipeline, a prompt of ${PROMPT}, cut for ${logits === 0 ? 'prompts' : 'tokens'}`,
        timing,
        board,
        boards,
        link,
        ms: here.ms,
        aloneMs: alone.ms,
        note: `${cut}; chunks of ${here.chunk}, alone of ${alone.chunk}; ${RESIDENT}`,
      });
    }),
  );
}

function dataParallelRows(model: FleetModel, link: Link, timing: Timing): ScalingRow[] {
  const board = kv260(timing);
  const cost = new StepCost(model.step, board);
  const run = (boards: number, sequences: number) =>
    answersMs(
      new Array<(columns: number) => number>(boards).fill((columns) => cost.ms(columns)),
      link,
      { sequences, places: SEQUENCES, tokens: TOKENS },
    ) /
    (sequences * TOKENS);
  const aloneMs = cost.ms(SEQUENCES) / SEQUENCES;
  return BOARDS.flatMap((boards) =>
    [boards * SEQUENCES, SEQUENCES].map((sequences) =>
      row({
        what: `data parallel, ${SEQUENCES} sequences ${sequences === SEQUENCES ? 'in all' : 'a board'}`,
        timing,
        board,
        boards,
        link,
        ms: run(boards, sequences),
        aloneMs,
        note: '128 MiB for DMA a lane',
        instructions: TOKEN_INSTRUCTIONS.millions,
      }),
    ),
  );
}

function tensorRows(model: FleetModel, link: Link, timing: Timing): ScalingRow[] {
  return BOARDS.map((boards) => {
    const board = pynqZ1(timing, boards === 2 ? 256 : 128);
    const { stepMs, aloneMs, wireBytes, exchanges, inner } = computeTensor(
      model,
      new Array<BoardDescription>(boards).fill(board),
      { link },
    );
    return row({
      what: 'tensor parallel, exact, one stream',
      timing,
      board,
      boards,
      link,
      ms: stepMs,
      aloneMs,
      note: `${exchanges} exchanges, ${Math.round(wireBytes / 1_000)} kB on the wire a token, inside of feed-forwards as ${inner}; ${RESIDENT}`,
    });
  });
}

/** Stages of two boards each, which compute their layers by rows; the first of a pair gives the other one the hidden states. */
function pairRows(model: FleetModel, link: Link, timing: Timing): ScalingRow[] {
  return BOARDS.filter((boards) => boards > 2).flatMap((boards) => {
    const board = pynqZ1(timing, 128);
    const cost = new StepCost(model.step, board);
    const pair = [board, board];
    const groups = new Array<typeof pair>(boards / 2).fill(pair);
    const plan = planGroups(model, groups, { linkOf: () => link, columns: SEQUENCES });
    const stages = plan.stages.map(({ from, to }): StageMs => {
      const known = new Map<number, number>();
      const compute = (columns: number) =>
        computeTensor(model, pair, { link, columns, range: { from, to } }).stepMs +
        (from === 0 ? 0 : sendMs(link, columns * hiddenBytes(model)));
      return (columns) => {
        const ms = known.get(columns) ?? compute(columns);
        known.set(columns, ms);
        return ms;
      };
    });
    return streamRows({
      model,
      common: { timing, board, boards, link, note: `${cutOf(plan.stages)}; ${RESIDENT}` },
      cost,
      stages,
      many: { what: `pipeline of pairs, ${SEQUENCES} sequences a stage` },
      one: { what: 'pipeline of pairs, one stream' },
    });
  });
}

function ringRows(
  model: FleetModel,
  link: Link,
  timing: Timing,
  shares: Readonly<Record<number, number>>,
): ScalingRow[] {
  return BOARDS.map((boards) => {
    const board = pynqZ1(timing, boards === 2 ? 256 : 128);
    return row({
      what: 'ring all-reduce, one stream, NOT bit-equal',
      timing,
      board,
      boards,
      link,
      ms: ringStepMs(model, board, boards, link),
      aloneMs: new StepCost(model.step, board).ms(1),
      note: `${((shares[boards] ?? 0) * 100).toFixed(0)} % of a matrix's results have other bits (measured on the mock); ${RESIDENT}`,
    });
  });
}
