import { setTimeout as sleep } from 'node:timers/promises';
import { harmlessJson, isPynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import type { ChosenBoard } from '../boards/devices.js';
import { errorForPrograms, worsen } from '../boards/several.js';
import { exitCodeOf } from '../exit.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatBytes, formatCount, formatShare } from '../output/units.js';
import { connectBoard } from '../session.js';
import { type Figures, figuresOf } from './figures.js';
import { type Sample, takeSample } from './sample.js';

/** A board in the table: what it told last, or why it tells nothing. */
interface Row {
  readonly board: ChosenBoard;
  readonly sample?: Sample | undefined;
  readonly figures?: Figures | undefined;
  readonly error?: unknown;
}

/** What `topOfSeveral` prints with. */
export interface SeveralTopOptions {
  readonly json: boolean;
  readonly once: boolean;
  /** Waits for the next screen; false where it ended. */
  readonly pause: () => Promise<boolean>;
  /** Shows a screen, where there is a terminal; else it is printed. */
  readonly show: ((lines: readonly string[]) => void) | undefined;
}

/** Longer is no answer. */
const ANSWER_MS = 10_000;
/** A screen waits so long for boards that are slow, and shows what they told before. */
const PATIENCE_MS = 500;

/** A row a board, every interval, until it ends. Boards that do not answer have their reason in theirs, and are asked again. */
export async function topOfSeveral(
  boards: readonly ChosenBoard[],
  signal: AbortSignal,
  { json, once, pause, show }: SeveralTopOptions,
): Promise<void> {
  const watches = boards.map((board) => new Watch(board, signal));
  const rowsNow = async () => {
    const asked = Promise.all(watches.map((watch) => watch.ask()));
    // A single screen has to have them all; of many, none waits for a board that hangs.
    await (once ? asked : Promise.race([asked, sleep(PATIENCE_MS)]));
    signal.throwIfAborted();
    return watches.map(({ row }) => row);
  };
  let rows: readonly Row[] = [];
  try {
    rows = await rowsNow();
    show?.(screenOf(rows));
    while (await pause()) {
      rows = await rowsNow();
      if (show !== undefined) show(screenOf(rows));
      else printText(json ? `${harmlessJson(forPrograms(rows))}\n` : `${screenOf(rows).join('\n')}\n\n`);
      if (once) break;
    }
  } finally {
    await Promise.all(watches.map((watch) => watch.close()));
  }
  for (const { error } of rows) if (error !== undefined) worsen(exitCodeOf(error));
}

/** One board: connected when it can be, asked again and again, one question at a time. */
class Watch {
  readonly #board: ChosenBoard;
  readonly #signal: AbortSignal;
  #client: BoardClient | undefined;
  #last: Sample | undefined;
  #asking: Promise<void> | undefined;
  /** What it told last. */
  row: Row;

  constructor(board: ChosenBoard, signal: AbortSignal) {
    this.#board = board;
    this.#signal = signal;
    this.row = { board, error: new Error('none yet') };
  }

  /** Ends when the board has answered, or has not in time; never fails. */
  ask(): Promise<void> {
    this.#asking ??= this.#sample().then((row) => {
      this.row = row;
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #sample(): Promise<Row> {
    const board = this.#board;
    const before = this.#last;
    this.#last = undefined;
    try {
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ANSWER_MS)]);
      this.#client ??= await connectBoard(board, signal, { name: board.name, timeoutMs: ANSWER_MS });
      const sample = await withinTime(takeSample(this.#client), signal);
      this.#last = sample;
      const { description } = this.#client.info;
      return { board, sample, figures: before && figuresOf(before, sample, description) };
    } catch (error) {
      return { board, error };
    }
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }
}

function withinTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function screenOf(rows: readonly Row[]): string[] {
  const headings = [
    'board',
    'state',
    'columns/s',
    'core',
    'running',
    'waiting',
    'models',
    'clients',
    'DMA free',
  ];
  const columns = headings.map((heading, i) => ({ heading, right: i > 1 }));
  return formatTable(columns, rows.map(cellsOf)).split('\n');
}

function cellsOf({ board, sample, figures, error }: Row): string[] {
  if (sample === undefined)
    return [board.name, isPynqLlmError(error) ? error.code : `no answer: ${String(error)}`];
  const { health, device } = sample;
  const sequences = device?.metrics.models.flatMap((model) => model.sequences) ?? [];
  const inState = (wanted: string) => String(sequences.filter(({ state }) => state === wanted).length);
  return [
    board.name,
    health.state,
    figures === undefined ? '-' : formatCount(figures.columnsPerSecond),
    figures === undefined ? '-' : formatShare(figures.coreBusy),
    inState('running'),
    inState('waiting'),
    String(health.models),
    String(health.sessions),
    health.dmaMemory === undefined ? '-' : formatBytes(health.dmaMemory.free),
  ];
}

function forPrograms(rows: readonly Row[]) {
  const entries = rows.map(({ board, sample, figures, error }): [string, unknown] => [
    board.name,
    sample === undefined
      ? { error: errorForPrograms(error) }
      : { device: board.device, health: sample.health, ...sample.device, figures },
  ]);
  return Object.fromEntries(entries);
}
