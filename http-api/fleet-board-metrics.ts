import type { BoardReading, FleetBoardStatus } from '../sdk/index.js';
import { counterText, gaugeText, labelsOf, type Values } from './metric-text.js';

/** A value of a board, or several that more labels tell apart; nothing where the board does not say. */
type Told =
  | number
  | undefined
  | readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
/** A metric that each board has a series of, or some. */
type Series<T> = readonly [write: typeof gaugeText, name: string, help: string, of: (board: T) => Told];

const STATES = ['ready', 'draining'] as const;

/** What the gateway knows of each board that is there. */
const KNOWN: readonly Series<FleetBoardStatus>[] = [
  [
    gaugeText,
    'state',
    '1 for the state that the board is in, 0 for the others',
    ({ state }) => STATES.map((one) => [{ state: one }, one === state ? 1 : 0]),
  ],
  [gaugeText, 'places', 'Requests that a board wants at a time', ({ places }) => places],
  [gaugeText, 'requests', 'Requests that a board has', ({ inHand }) => inHand],
  [
    gaugeText,
    'models',
    'Models that a board has loaded',
    ({ models }) => models.filter(({ state }) => state === 'loaded').length,
  ],
  [counterText, 'tokens_total', 'Tokens that a board was the first to tell', ({ tokens }) => tokens],
  [
    counterText,
    'redeliveries_total',
    'Times that a request of the board went on on another one',
    ({ redelivered }) => redelivered,
  ],
];

/** What boards that answer say of themselves. */
const TOLD: readonly Series<BoardReading>[] = [
  [gaugeText, 'up', '1 where the board answers', ({ health }) => (health === undefined ? 0 : 1)],
  [
    gaugeText,
    'round_trip_seconds',
    'A question to the board over the bus, and its answer',
    ({ roundTripMs }) => roundTripMs && roundTripMs / 1_000,
  ],
  [
    counterText,
    'restarts_total',
    "Times that the device's thread was started again",
    ({ health }) => health?.restarts,
  ],
  [
    gaugeText,
    'resident_bytes',
    "Memory of the agent's process",
    ({ health }) => health?.process.residentBytes,
  ],
  [gaugeText, 'dma_memory_free_bytes', 'DMA memory that is free', ({ health }) => health?.dmaMemory?.free],
  [gaugeText, 'core_clock_hertz', 'Clock of the core', ({ clockHz }) => clockHz],
  [counterText, 'core_cycles_total', 'Core cycles of matrices', ({ traffic }) => traffic?.coreCycles],
  [
    counterText,
    'dma_bytes_total',
    'Bytes of DMA transfers',
    ({ traffic }) =>
      traffic && [
        [{ direction: 'to_device' }, traffic.dmaBytesToDevice],
        [{ direction: 'from_device' }, traffic.dmaBytesFromDevice],
      ],
  ],
  [counterText, 'steps_total', 'Steps of the engine', ({ engine }) => engine?.steps],
  [counterText, 'columns_total', 'Columns computed', ({ engine }) => engine?.columns],
  [counterText, 'step_faults_total', 'Steps during which the device failed', ({ engine }) => engine?.faults],
  [
    gaugeText,
    'kv_pages',
    'Pages of keys and values, 16 tokens each',
    ({ engine }) =>
      engine?.models.flatMap(({ model, kv }) =>
        kv === undefined
          ? []
          : [
              [{ model, state: 'used' }, kv.used] as const,
              [{ model, state: 'cached' }, kv.cached] as const,
              [{ model, state: 'free' }, kv.pages - kv.used - kv.cached] as const,
            ],
      ),
  ],
];

/** Each board that is there by itself. One that is lost has no series any more; of one that does not answer there is `up` 0. */
export function fleetBoardText(
  boards: readonly FleetBoardStatus[],
  readings: readonly BoardReading[],
): string {
  return [
    ...KNOWN.map((series) => textOf(series, boards)),
    ...TOLD.map((series) => textOf(series, readings)),
  ].join('');
}

function textOf<T extends { readonly name: string }>(
  [write, name, help, of]: Series<T>,
  boards: readonly T[],
): string {
  const values: Values = boards.flatMap((board) => {
    const told = of(board);
    if (told === undefined) return [];
    if (typeof told === 'number') return [[labelsOf({ board: board.name }), told] as const];
    return told.map(([labels, value]) => [labelsOf({ board: board.name, ...labels }), value] as const);
  });
  return write(`fleet_board_${name}`, help, values);
}
