import { AGENT_VERSION } from '../../agent/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { FleetBoardReport, FleetDrain, FleetVerification } from '../../protocol/index.js';
import { compareBoards } from '../verify/compare.js';
import type { Boards } from './boards.js';
import type { Calls } from './calls.js';
import type { FleetModels } from './fleet-models.js';

/** A board tells of itself at once; this is for a broker that is slow. */
const TOLD_MS = 10_000;
/** Boards compute a little with each of their models, behind what they have to do. */
const CHECK_MS = 590_000;
const PING_MS = 10_000;
/** The first one may be behind something else. */
const PINGS = 5;

interface OperationsOptions {
  readonly boards: Boards;
  readonly calls: Calls;
  readonly models: FleetModels;
  /** Requests that a board has. */
  readonly countOf: (board: string) => number;
}

/** What an operator of a fleet has its boards do. */
export class Operations {
  readonly #options: OperationsOptions;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the board is given nothing any more, or is again.
   * @throws PynqLlmError FLEET_BOARD_UNKNOWN, BUS_...; BUS_UNAVAILABLE where the board did not tell of it
   */
  async drain({ board: name, undo = false }: FleetDrain): Promise<{ inHand: number }> {
    const { boards, calls, countOf } = this.#options;
    if (boards.get(name) === undefined)
      throw new PynqLlmError('FLEET_BOARD_UNKNOWN', `The fleet has no board "${name}" now.`, {
        context: { name },
      });
    await calls.drain(name, !undo);
    const told = await boards.until(() => {
      const record = boards.get(name)?.record;
      return record === undefined || record.isDraining === !undo
        ? { isThere: record !== undefined }
        : undefined;
    }, TOLD_MS);
    if (told === undefined)
      throw new PynqLlmError(
        'BUS_UNAVAILABLE',
        `Board ${name} did not tell the fleet within ${TOLD_MS} ms that it ${undo ? 'takes requests' : 'is drained'}.`,
      );
    return { inHand: countOf(name) };
  }

  /** Compares all boards that are there. */
  async verify(): Promise<FleetVerification> {
    const { boards, models } = this.#options;
    const reports = await Promise.all(boards.all.map(({ name }) => this.#report(name)));
    const differences = compareBoards(reports, { version: AGENT_VERSION, models: models.wanted });
    return { gateway: AGENT_VERSION, boards: reports, differences };
  }

  async #report(name: string): Promise<FleetBoardReport> {
    const { calls } = this.#options;
    const roundTripsMs: number[] = [];
    try {
      for (let ping = 0; ping < PINGS; ping++) {
        const began = performance.now();
        await calls.ping(name, PING_MS);
        roundTripsMs.push(performance.now() - began);
      }
      return { ...(await calls.check(name, CHECK_MS)), name, roundTripsMs };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { name, models: [], generations: [], roundTripsMs, error: why.slice(0, 500) };
    }
  }
}
