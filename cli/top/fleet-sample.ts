import { isPynqLlmError } from '../../errors/index.js';
import type { BoardClient, EngineMetricsReading, FleetStatus } from '../../sdk/index.js';

/** What a fleet tells of itself at a moment. */
export interface FleetSample {
  /** Milliseconds of the laptop's clock. */
  readonly at: number;
  readonly status: FleetStatus;
  /** Only while a board answers. */
  readonly metrics: EngineMetricsReading | undefined;
}

/** What happened between two samples; rates are per second of the laptop's clock. */
export interface FleetFigures {
  readonly seconds: number;
  /** Tokens that clients were given. */
  readonly tokensPerSecond: number;
  /** Boards that were there, and answered, both times. */
  readonly boards: Readonly<Record<string, BoardFigures>>;
}

export interface BoardFigures {
  readonly tokensPerSecond: number;
  /** Part of the clock's cycles that the core's work takes by the manual's formulas; absent where its device was opened anew. */
  readonly coreBusy?: number;
  readonly stepsPerSecond?: number;
}

/** Asks the gateway, which asks its boards. @throws PynqLlmError FLEET_NOT_A_FLEET where it is one board */
export async function takeFleetSample(board: BoardClient): Promise<FleetSample> {
  const [status, metrics] = await Promise.all([
    board.fleetStatus(),
    board.metrics().catch((error: unknown) => {
      if (isPynqLlmError(error, 'FLEET_NO_BOARDS')) return undefined;
      throw error;
    }),
  ]);
  return { at: performance.now(), status, metrics };
}

export function fleetFiguresOf(before: FleetSample, now: FleetSample): FleetFigures {
  const seconds = (now.at - before.at) / 1_000;
  const boards: Record<string, BoardFigures> = {};
  for (const { name, tokens } of now.status.boards) {
    const was = before.status.boards.find((one) => one.name === name);
    // One that has left and come back counts anew.
    if (was === undefined || tokens < was.tokens) continue;
    boards[name] = {
      tokensPerSecond: (tokens - was.tokens) / seconds,
      ...deviceFigures(before, now, name, seconds),
    };
  }
  return { seconds, tokensPerSecond: (now.status.tokens - before.status.tokens) / seconds, boards };
}

function deviceFigures(
  before: FleetSample,
  now: FleetSample,
  name: string,
  seconds: number,
): Pick<BoardFigures, 'coreBusy' | 'stepsPerSecond'> {
  const [from, to] = [before, now].map(({ metrics }) => metrics?.boards?.find((one) => one.name === name));
  if (from?.traffic === undefined || to?.traffic === undefined || !from.engine || !to.engine) return {};
  const cycles = to.traffic.coreCycles - from.traffic.coreCycles;
  const steps = to.engine.steps - from.engine.steps;
  if (from.health?.restarts !== to.health?.restarts || cycles < 0 || steps < 0) return {};
  return { coreBusy: Math.min(1, cycles / (seconds * to.clockHz)), stepsPerSecond: steps / seconds };
}
