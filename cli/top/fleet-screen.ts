import type { BoardReading, EngineMetricsReading, FleetBoardStatus } from '../../sdk/index.js';
import { formatCount, formatDuration, formatShare } from '../output/units.js';
import type { BoardFigures, FleetFigures, FleetSample } from './fleet-sample.js';
import { sparkline } from './history.js';
import { table, WIDE } from './layout.js';
import { type Line, line, wrapped } from './line.js';

export const FLEET_SORTS = ['name', 'requests', 'tokens', 'core'] as const;

/** How it is shown, by keys and by the terminal's width. */
export interface FleetLook {
  readonly columns: number;
  /** What boards are in the order of. */
  readonly sort: (typeof FLEET_SORTS)[number];
  readonly help: boolean;
}

/** What a screen shows. */
export interface FleetView {
  /** What it was reached by. */
  readonly device: string;
  readonly sample: FleetSample;
  /** Since the screen before. */
  readonly figures: FleetFigures | undefined;
  /** Tokens a second of the screens before, the latest last. */
  readonly past: readonly number[];
}

const HELP = ['q  leave', 'h  this help', 's  sort boards by name, requests, tokens or core'];
/** The longest name of a board has 63 characters: it has the room that the other columns leave, but never less than this. */
const SHORTEST_NAME = 14;

/** The lines of a screen; whoever shows them cuts them to its size. */
export function fleetLines(view: FleetView, look: FleetLook): Line[] {
  const help = look.help ? [...HELP.map((text) => line(text)), line()] : [];
  return [...help, ...headLines(view, look), line(), ...boardLines(view, look)];
}

function headLines({ device, sample, figures, past }: FleetView, { columns }: FleetLook): Line[] {
  const { boards, waiting, tokens, redelivered, repeated, diverged } = sample.status;
  const inHand = boards.reduce((sum, one) => sum + one.inHand, 0);
  const rate = figures === undefined ? '-' : perSecond(figures.tokensPerSecond);
  const totals = [
    `${counted(inHand, 'request')} on boards`,
    `${formatCount(waiting)} waiting`,
    `${formatCount(tokens)} tokens`,
    counted(redelivered, 'redelivery', 'redeliveries'),
    `${formatCount(repeated)} repeated`,
  ];
  return [
    line({ text: device, colour: 'strong' }, '  ', {
      text: counted(boards.length, 'board'),
      colour: boards.length > 0 ? 'good' : 'bad',
    }),
    ...wrapped(totals, columns),
    ...(diverged > 0
      ? [line({ text: `${formatCount(diverged)} diverged: a board is at fault, see the log`, colour: 'bad' })]
      : []),
    line(
      'tokens/s  ',
      { text: rate.padEnd(8), colour: 'strong' },
      {
        text: sparkline(past.slice(-(columns >= WIDE ? 60 : 30))),
        colour: 'mark',
      },
    ),
  ];
}

function boardLines(
  { sample: { status, metrics }, figures }: FleetView,
  { columns, sort }: FleetLook,
): Line[] {
  const boards = status.boards.map((board) => ({
    board,
    reading: metrics?.boards?.find(({ name }) => name === board.name),
    figures: figures?.boards[board.name],
  }));
  const rank = {
    name: () => 0,
    requests: (one: (typeof boards)[number]) => -one.board.inHand,
    tokens: (one: (typeof boards)[number]) => -(one.figures?.tokensPerSecond ?? -1),
    core: (one: (typeof boards)[number]) => -(one.figures?.coreBusy ?? -1),
  }[sort];
  const sorted = boards.toSorted((a, b) => rank(a) - rank(b));
  const rowsOf = (isWide: boolean) => [
    ['board', 'state', 'has', 'tokens/s', 'core', 'KV', 'bus', ...(isWide ? WIDE_HEADINGS : []), 'model'],
    ...sorted.map(({ board, reading, figures: its }) => [
      board.name,
      stateOf(board, reading, metrics),
      `${board.inHand}/${board.places}`,
      its === undefined ? '-' : perSecond(its.tokensPerSecond),
      its?.coreBusy === undefined ? '-' : formatShare(its.coreBusy),
      kvShare(reading),
      reading?.roundTripMs === undefined ? '-' : `${reading.roundTripMs.toFixed(1)} ms`,
      ...(isWide ? wideCells(board, reading, its) : []),
      modelsOf(board, metrics),
    ]),
  ];
  const longest = Math.max(0, ...status.boards.map(({ name }) => name.length));
  const wide = rowsOf(true);
  const isWide = columns - widthOfOthers(wide) >= Math.min(SHORTEST_NAME, longest);
  const rows = isWide ? wide : rowsOf(false);
  const room = Math.max(SHORTEST_NAME, columns - widthOfOthers(rows));
  const [headings = [], ...fitting] = rows.map(([name = '', ...others]) => [cut(name, room), ...others]);
  return table(headings, fitting, 2, headings.length - 1);
}

/** How wide a table is without its first column. */
function widthOfOthers(rows: readonly (readonly string[])[]): number {
  const [first = []] = rows;
  return first
    .slice(1)
    .reduce((sum, _, i) => sum + 2 + Math.max(...rows.map((row) => row[i + 1]!.length)), 0);
}

/** Of a screen that has room for them. */
const WIDE_HEADINGS = ['steps/s', 'given away', 'restarts', 'up'];

function wideCells(
  { redelivered }: FleetBoardStatus,
  reading: BoardReading | undefined,
  figures: BoardFigures | undefined,
): string[] {
  const { stepsPerSecond } = figures ?? {};
  const { health } = reading ?? {};
  return [
    stepsPerSecond === undefined ? '-' : perSecond(stepsPerSecond),
    formatCount(redelivered),
    health === undefined ? '-' : formatCount(health.restarts),
    health === undefined ? '-' : formatDuration(health.uptimeMs),
  ];
}

/** What a board is at, the worst first: whether it answers, what its device is, whether it leaves. */
function stateOf(
  { state }: FleetBoardStatus,
  reading: BoardReading | undefined,
  metrics: EngineMetricsReading | undefined,
): string {
  // Gateways of before ask no board, and one that has just come was not asked yet.
  if (metrics?.boards === undefined || reading === undefined) return state;
  if (reading.health === undefined) return 'silent';
  return reading.health.state === 'ready' ? state : reading.health.state;
}

/** Pages that sequences hold, of all models together. */
function kvShare(reading: BoardReading | undefined): string {
  const kept = reading?.engine?.models.flatMap(({ kv }) => kv ?? []) ?? [];
  const pages = kept.reduce((sum, kv) => sum + kv.pages, 0);
  return pages === 0 ? '-' : formatShare(kept.reduce((sum, kv) => sum + kv.used, 0) / pages);
}

/** Those that it has, and what became of others, by the names that the models give themselves. */
function modelsOf({ models }: FleetBoardStatus, metrics: EngineMetricsReading | undefined): string {
  const names = models.map(({ model, state }) => {
    const name = metrics?.models.find((one) => one.model === model)?.name ?? model.slice(0, 12);
    return state === 'loaded' ? name : `${name} (${state})`;
  });
  return names.length === 0 ? '-' : names.join(', ');
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function perSecond(value: number): string {
  return value >= 100 ? formatCount(value) : value.toFixed(1);
}

function counted(count: number, thing: string, several = `${thing}s`): string {
  return `${formatCount(count)} ${count === 1 ? thing : several}`;
}
