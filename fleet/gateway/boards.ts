import { type Bus, type LeaseWatch, watchLeases } from '../../bus/index.js';
import type { Log } from '../../listen/index.js';
import { type BoardModel, type BoardRecord, generates, readRecord } from '../messages.js';
import type { Plan } from '../pipeline/plan-record.js';
import { BOARDS } from '../subjects.js';

/** A board that is there now. */
export interface FleetBoard {
  readonly name: string;
  /** Another one each time that it comes. */
  readonly owner: string;
  readonly record: BoardRecord;
  readonly counts: BoardCounts;
}

/** What happened with a board since it came. */
export interface BoardCounts {
  /** Tokens that it was the first to tell. */
  tokens: number;
  /** Requests of it that went on elsewhere. */
  redelivered: number;
}

interface BoardsOptions {
  readonly bus: Bus;
  readonly log: Log;
  /** Told when a board came. */
  readonly onCome: (board: FleetBoard) => void;
  /** Told when a board came, or says something else of itself. */
  readonly onChange: (board: FleetBoard) => void;
  /** Told when a board has left by its own will, or was not heard of for its lease. */
  readonly onGone: (board: FleetBoard, why: 'released' | 'expired') => void;
}

/** The boards of the fleet, by their leases. */
export class Boards {
  readonly #boards = new Map<string, FleetBoard>();
  readonly #watch: LeaseWatch;
  readonly #waiting = new Set<() => void>();
  /** Owners of the boards that work for this gateway. */
  readonly #led = new Set<string>();
  /** By owner: until when a board is better left alone. */
  readonly #resting = new Map<string, number>();

  constructor({ bus, log, onCome, onChange, onGone }: BoardsOptions) {
    this.#watch = watchLeases(bus, bus.bucket(BOARDS), (event) => {
      if (event.kind === 'ready') return;
      if (event.kind === 'gone') {
        const board = this.#boards.get(event.key);
        if (board?.owner !== event.owner) return;
        this.#boards.delete(event.key);
        this.#led.delete(event.owner);
        this.#resting.delete(event.owner);
        log.warn({ board: event.key, why: event.why }, 'a board has left the fleet');
        onGone(board, event.why);
      } else {
        let record: BoardRecord;
        try {
          record = readRecord(event.value, event.key);
        } catch (err) {
          log.error({ err }, 'a board of the fleet cannot be understood');
          return;
        }
        const before = this.#boards.get(event.key);
        const isNew = before?.owner !== event.owner;
        const counts = isNew ? { tokens: 0, redelivered: 0 } : before.counts;
        if (isNew) log.info({ board: event.key }, 'a board has joined the fleet');
        const board = { name: event.key, owner: event.owner, record, counts };
        this.#boards.set(event.key, board);
        if (isNew) onCome(board);
        onChange(board);
      }
      this.look();
    });
    this.#watch.ended.catch((err: unknown) =>
      log.error({ err }, 'the boards of the fleet are not seen any more'),
    );
  }

  /** By name. */
  get all(): FleetBoard[] {
    return [...this.#boards.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): FleetBoard | undefined {
    return this.#boards.get(name);
  }

  /** Counts something of a board, while it is there. */
  count(name: string | undefined, what: keyof BoardCounts): void {
    const board = name === undefined ? undefined : this.#boards.get(name);
    if (board !== undefined) board.counts[what]++;
  }

  /** Those that serve all of these models: they work for this gateway and have them, or have the last layers and others the layers before. */
  with(models: readonly string[]): FleetBoard[] {
    const { all } = this;
    const serves = ({ owner, record }: FleetBoard, digest: string) => {
      if (!this.#led.has(owner)) return false;
      const model = modelOf(record, digest);
      if (model === undefined || !generates(model)) return false;
      if (model.stage === undefined) return true;
      const { plan, of } = model.stage;
      return all.filter((board) => stageOf(board.record, plan)?.state === 'loaded').length === of;
    };
    return all.filter((board) => models.every((model) => serves(board, model)));
  }

  /** Whether each board of a plan has its stage loaded. */
  isWhole({ number, stages }: Plan): boolean {
    return stages.every(({ board, owner }) => {
      const there = this.#boards.get(board);
      return there?.owner === owner && stageOf(there.record, number)?.state === 'loaded';
    });
  }

  /** A board has nothing done, though it is heard: until then others are better. */
  rest(owner: string, until: number): void {
    this.#resting.set(owner, until);
  }

  isResting(owner: string, now: number): boolean {
    return now < (this.#resting.get(owner) ?? now);
  }

  /** Has who waits in `until` look again: something else has changed. */
  look(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** A board has said that it works for this gateway. */
  led(owner: string): void {
    this.#led.add(owner);
    this.look();
  }

  /**
   * Looks at once, and after each change, until there is something.
   * @returns undefined where there was nothing within `ms`
   */
  until<T>(look: () => T | undefined, ms: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(again);
        settle();
      };
      const again = () => {
        try {
          const found = look();
          if (found !== undefined) end(() => resolve(found));
        } catch (error) {
          end(() => reject(error));
        }
      };
      const timer = setTimeout(() => end(() => resolve(undefined)), ms);
      this.#waiting.add(again);
      again();
    });
  }

  /** Tells, once or more often, that a board which is there now is not any more. @returns what ends it */
  onLoss(name: string, tell: () => void): () => void {
    const owner = this.#boards.get(name)?.owner;
    const look = () => {
      if (owner !== undefined && this.#boards.get(name)?.owner !== owner) tell();
    };
    this.#waiting.add(look);
    return () => this.#waiting.delete(look);
  }

  close(): void {
    this.#watch.close();
  }
}

/** What a board says of its stage of a plan. */
export function stageOf({ models }: BoardRecord, plan: number): BoardModel | undefined {
  return models.find(({ stage }) => stage?.plan === plan);
}

export function modelOf({ models }: BoardRecord, digest: string): BoardModel | undefined {
  return models.find((model) => model.digest === digest);
}
