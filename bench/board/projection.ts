import type { BoardDescription } from '../../board/index.js';
import type { ModelShape } from '../synthetic-model.js';
import { CARD_BYTES, type ProcessorAssumptions, type Span } from './assumptions.js';
import { coreWork } from './core-work.js';
import type { TokenTraffic } from './run-tokens.js';

/** A part of a token's time, in seconds, and what it rests on. */
export interface ProjectedLine {
  readonly what: string;
  readonly seconds: Span;
  readonly assumption: string;
}

export interface ProjectionInput {
  readonly board: BoardDescription;
  readonly processor: ProcessorAssumptions;
  readonly model: ModelShape;
  /** Counted on the null device. */
  readonly instructions: number;
  readonly traffic: TokenTraffic;
  readonly memory: 'reserved' | 'u-dma-buf';
  /** Bytes of weights that come from the card in each token. */
  readonly stagedBytes: number;
}

/** The time of a token on one thread, where processor and core wait for each other: the sum of what each part takes. */
export function project(input: ProjectionInput): ProjectedLine[] {
  const { board, processor, instructions, traffic } = input;
  const registers = traffic.registerReads + traffic.registerWrites;
  const lines: ProjectedLine[] = [
    coreLine(input),
    {
      what: 'processor',
      seconds: [instructions / processor.instructions[0], instructions / processor.instructions[1]],
      assumption: `instructions, counted; ${processor.instructionsWhy}`,
    },
    {
      what: 'registers',
      seconds: times(processor.registerNs, registers * 1e-9),
      assumption: `${registers} accesses, counted; ${text(processor.registerNs)} ns each: ${processor.registerWhy}`,
    },
    memoryLine(input),
    contentionLine(input),
  ];
  if (input.stagedBytes > 0)
    lines.push({
      what: 'card',
      seconds: [input.stagedBytes / CARD_BYTES[0], input.stagedBytes / CARD_BYTES[1]],
      assumption: `${millions(input.stagedBytes)} bytes of staged weights a token from ${board.name}'s card, ${text(times(CARD_BYTES, 1e-6))} MB/s`,
    });
  return lines;
}

export function total(lines: readonly ProjectedLine[]): Span {
  return [sumOf(lines, 0), sumOf(lines, 1)];
}

function coreLine({ board, model }: ProjectionInput): ProjectedLine {
  const [words, hls] = (['words', 'hls'] as const).map((unpack) => coreWork({ ...board, unpack }, model));
  return {
    what: 'core',
    seconds: [words.cycles / board.clockHz, hls.cycles / board.clockHz],
    assumption: `${words.onCore} of ${words.matrices} matrices, ${millions(words.cycles)} to ${millions(hls.cycles)} cycles at ${board.clockHz / 1e6} MHz: weights unpacked as their words come, or as the HLS report has it`,
  };
}

/** What the processor writes for the core and reads of its results. */
function memoryLine({ processor, traffic, memory }: ProjectionInput): ProjectedLine {
  const { cpuBytesWritten, cpuBytesRead, bytesHandedOver, cacheCommands } = traffic;
  if (memory === 'u-dma-buf') {
    const byLine = times(processor.lineNs, (bytesHandedOver / processor.lineBytes) * 1e-9);
    return {
      what: 'caches',
      seconds: plus(times(processor.syncUs, cacheCommands * 1e-6), byLine),
      assumption: `${cacheCommands} commands, ${text(processor.syncUs)} us each, over ${kilobytes(bytesHandedOver)}, ${text(processor.lineNs)} ns a line: ${processor.syncWhy}`,
    };
  }
  const read = times(processor.uncachedReadNs, (cpuBytesRead / 4) * 1e-9);
  const written = times(processor.uncachedWriteNs, (cpuBytesWritten / 4) * 1e-9);
  return {
    what: 'uncached words',
    seconds: plus(read, written),
    assumption: `${kilobytes(cpuBytesRead)} read, ${text(processor.uncachedReadNs)} ns a word, and ${kilobytes(cpuBytesWritten)} written, ${text(processor.uncachedWriteNs)} ns: ${processor.uncachedWhy}`,
  };
}

/** The lanes read 4 bytes a cycle each; where memory gives less, the core waits. */
function contentionLine({ board, processor, model }: ProjectionInput): ProjectedLine {
  const { weightBytes } = coreWork(board, model);
  const alone = weightBytes / (4 * board.dma.lanes * board.clockHz);
  const wait = (rate: number) => Math.max(0, weightBytes / rate - alone);
  return {
    what: 'memory that others want',
    seconds: [wait(processor.memoryBytes[0]), wait(processor.memoryBytes[1])],
    assumption: `${millions(weightBytes)} bytes of weights at ${text(times(processor.memoryBytes, 1e-9))} GB/s, less the ${alone.toFixed(3)} s of the lanes: ${processor.memoryWhy}`,
  };
}

function times([low, high]: Span, factor: number): Span {
  return [low * factor, high * factor];
}

function plus(a: Span, b: Span): Span {
  return [a[0] + b[0], a[1] + b[1]];
}

function sumOf(lines: readonly ProjectedLine[], end: 0 | 1): number {
  return lines.reduce((sum, { seconds }) => sum + seconds[end], 0);
}

function text([low, high]: Span): string {
  return `${Number(low.toPrecision(3))} to ${Number(high.toPrecision(3))}`;
}

function millions(count: number): string {
  return `${(count / 1e6).toPrecision(4)} M`;
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1000)} kB`;
}
