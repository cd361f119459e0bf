import type { BoardReading } from '../../protocol/index.js';
import type { Boards, FleetBoard } from './boards.js';
import type { Calls } from './calls.js';

/** A board that is heard but does not answer for so long has no figures; whoever scrapes metrics waits for ten seconds. */
const PING_MS = 3_000;
const ANSWER_MS = 5_000;

/** What each board that is there says of itself, by name. */
export async function watchBoards(boards: Boards, calls: Calls): Promise<BoardReading[]> {
  const all = boards.all;
  // Before anything that takes boards their time: what is measured is the way.
  const trips = await Promise.all(all.map(({ name }) => roundTrip(calls, name)));
  const readings = await Promise.all(all.map((board, i) => readingOf(calls, board, trips[i])));
  // Those that left meanwhile have no numbers any more.
  return readings.filter((_, i) => boards.get(all[i].name)?.owner === all[i].owner);
}

async function roundTrip(calls: Calls, board: string): Promise<number | undefined> {
  const before = performance.now();
  try {
    await calls.ping(board, PING_MS);
    return performance.now() - before;
  } catch {
    return undefined;
  }
}

async function readingOf(
  calls: Calls,
  { name, record }: FleetBoard,
  roundTripMs: number | undefined,
): Promise<BoardReading> {
  const { clockHz } = record.info.description;
  if (roundTripMs === undefined) return { name, clockHz };
  try {
    return { name, clockHz, roundTripMs, ...(await calls.watch(name, ANSWER_MS)) };
  } catch {
    return { name, clockHz };
  }
}
