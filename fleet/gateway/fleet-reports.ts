import { AGENT_VERSION, type GenerationRegistry, type ModelStore, type Sessions } from '../../agent/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  type BoardHealth,
  type BoardInfo,
  type Clock,
  type FleetAdvice,
  type FleetStatus,
  type Params,
  PROTOCOL_VERSION,
  type Result,
} from '../../protocol/index.js';
import type { LoadHistory } from '../advice/load-history.js';
import type { BoardPages } from './board-pages.js';
import type { Boards } from './boards.js';
import type { Calls } from './calls.js';
import { FLEET_CAPABILITIES } from './capabilities.js';
import { describeBoard, describePlan } from './describe.js';
import type { Dispatch } from './dispatch.js';
import { adviceOf } from './fleet-advice.js';
import type { FleetModels } from './fleet-models.js';
import type { Pipelines } from './pipelines.js';
import { sumMetrics } from './sum-metrics.js';
import { watchBoards } from './watch-boards.js';

interface FleetReportsOptions {
  readonly clock: Clock;
  readonly store: ModelStore;
  readonly sessions: Sessions;
  readonly boards: Boards;
  readonly calls: Calls;
  readonly models: FleetModels;
  readonly generations: GenerationRegistry;
  readonly pipelines: Pipelines | undefined;
  readonly pages: BoardPages;
  readonly dispatch: Dispatch;
  readonly history: LoadHistory;
  /** How long who looks waits for a first board. */
  readonly waitMs: number;
}

/** What a fleet says of itself to those who look at it. */
export class FleetReports {
  readonly #options: FleetReportsOptions;
  readonly #startedAt: number;

  constructor(options: FleetReportsOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
  }

  /** What the fleet is: the first board speaks for all. @throws PynqLlmError FLEET_NO_BOARDS */
  async info(): Promise<BoardInfo> {
    const { boards, waitMs } = this.#options;
    const first = await boards.until(() => boards.all[0], waitMs);
    if (first === undefined)
      throw new PynqLlmError('FLEET_NO_BOARDS', `No board of the fleet was there within ${waitMs} ms.`);
    return {
      ...first.record.info,
      device: 'fleet:',
      agent: AGENT_VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      protocol: PROTOCOL_VERSION,
      capabilities: [...FLEET_CAPABILITIES],
      uptimeMs: this.#uptimeMs,
      fleet: { boards: boards.all.length },
    };
  }

  async health(): Promise<BoardHealth> {
    const { store, boards, sessions, generations, models } = this.#options;
    const problems: { part: string; error: string }[] = [];
    const freeBytes = await store.freeBytes().catch((error: unknown) => {
      problems.push({ part: 'store', error: String(error) });
      return undefined;
    });
    const isReady = boards.all.length > 0;
    return {
      state: isReady ? 'ready' : 'starting',
      restarts: 0,
      ...(isReady ? {} : { lastError: 'No board of the fleet is there.' }),
      uptimeMs: this.#uptimeMs,
      silentMs: 0,
      sessions: sessions.count,
      generations: generations.running,
      models: models.count,
      process: { residentBytes: process.memoryUsage.rss() },
      ...(freeBytes === undefined ? {} : { store: { freeBytes } }),
      ...(problems.length === 0 ? {} : { problems }),
    };
  }

  status(): FleetStatus {
    const { boards, pipelines, pages, dispatch } = this.#options;
    return {
      boards: boards.all.map((board) =>
        describeBoard(
          board,
          dispatch.countOf(board.name),
          pages.countOf(board.owner),
          boards.isContested(board.name),
        ),
      ),
      plans: pipelines?.plans().map((plan) => describePlan(plan, boards)),
      waiting: dispatch.countOf(undefined),
      ...dispatch.totals,
    };
  }

  /** How many boards there should be. @throws PynqLlmError FLEET_HISTORY_SHORT */
  advice(params: Params<'fleet.advise'>): FleetAdvice {
    return adviceOf(this.#options.history.samples, this.#options.boards.all, params);
  }

  /** What all boards count, together and each by itself. @throws PynqLlmError FLEET_NO_BOARDS */
  async metrics(): Promise<Result<'metrics.read'>> {
    const boards = await watchBoards(this.#options.boards, this.#options.calls);
    const readings = boards.flatMap(({ engine }) => engine ?? []);
    if (readings.length > 0) return { ...sumMetrics(readings), boards };
    throw new PynqLlmError('FLEET_NO_BOARDS', 'No board of the fleet said what it counts.');
  }

  get #uptimeMs(): number {
    return this.#options.clock.now() - this.#startedAt;
  }
}
