import { type Bus, type LeaseWatch, watchLeases } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { type BoardModel, type BoardRecord, generates, readRecord } from '../messages.js';
import { boardsOf, type Plan } from '../pipeline/plan-record.js';
import { BOARDS } from '../subjects.js';
import { Lasting } from './lasting.js';

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

/** Two boards that take turns are told of for so long after a turn, or for two of their leases. */
const CONTESTED_MS = 60_000;
/** Owners of a lease that are remembered: boards that take turns are few. */
const MOST_OWNERS = 8;

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
  /** Those that a board's lease had, the latest last. */
  readonly #owners = new Map<string, string[]>();
  /** Names that two boards said of late to have. */
  readonly #contested = new Lasting();
  /** Owners of boards that are better left alone. */
  readonly #resting = new Lasting();

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
        if (isNew && this.#isBack(event.key, event.owner)) this.#tellContested(event.key, record, log);
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

  /** Whether an owner had the lease of a board before another one: each that comes is a new one, so both are there. */
  #isBack(name: string, owner: string): boolean {
    const owners = this.#owners.get(name) ?? [];
    const isBack = owners.includes(owner) && owners.at(-1) !== owner;
    this.#owners.set(name, [...owners.filter((one) => one !== owner), owner].slice(-MOST_OWNERS));
    return isBack;
  }

  #tellContested(name: string, { leaseMs }: BoardRecord, log: Log): void {
    const isKnown = this.isContested(name);
    this.#contested.note(name, Math.max(CONTESTED_MS, 2 * leaseMs), performance.now());
    if (isKnown) return;
    const what = `Two boards say to be ${name}: both have its key, as where a card was copied, and take turns.`;
    const remedy = 'Delete the key on the copy and deploy it under another name.';
    const err = new PynqLlmError('FLEET_BOARD_NAME', what, { context: { name }, remedy });
    log.error({ err, board: name }, 'two boards of the fleet have one name');
  }

  /** Whether two boards said of late to be this one. Brokers whose keys are for one name each let both in. */
  isContested(name: string): boolean {
    return this.#contested.has(name, performance.now());
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

  /** Those that serve all of these models: they work for this gateway and have them, or have the engine of a plan whose boards all are there. */
  with(models: readonly string[]): FleetBoard[] {
    const { all } = this;
    const serves = ({ owner, record }: FleetBoard, digest: string) => {
      if (!this.#led.has(owner)) return false;
      const model = modelOf(record, digest);
      if (model === undefined || !generates(model)) return false;
      if (model.stage === undefined) return true;
      const { plan, boards } = model.stage;
      return all.filter((board) => stageOf(board.record, plan)?.state === 'loaded').length === boards;
    };
    return all.filter((board) => models.every((model) => serves(board, model)));
  }

  /** Whether each board of a plan has its part loaded. */
  isWhole(plan: Plan): boolean {
    return boardsOf(plan).every(({ board, owner }) => {
      const there = this.#boards.get(board);
      return there?.owner === owner && stageOf(there.record, plan.number)?.state === 'loaded';
    });
  }

  /** A board has nothing done, though it is heard: for so long others are better. */
  rest(owner: string, ms: number, now: number): void {
    this.#resting.note(owner, ms, now);
  }

  isResting(owner: string, now: number): boolean {
    return this.#resting.has(owner, now);
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
