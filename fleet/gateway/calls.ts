import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Bus } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { checkResult, type MethodName, type Params, type Result } from '../../protocol/index.js';
import { type BoardWatch, boardWatch, checked, loadBegun, pack, read, unpack } from '../messages.js';
import { callsOf } from '../subjects.js';
import { type SelfCheck, selfCheck } from '../verify/self-check.js';
import type { Boards, FleetBoard } from './boards.js';
import { Lasting } from './lasting.js';

const ANSWER_MS = 120_000;
const LEAD_MS = 5_000;
/** Boards that a call is tried on. */
const MOST_BOARDS = 3;
/** After its broker was away a board hears again within a second or two, and is asked again so often until then. */
const HEARS_AGAIN_MS = 10_000;
const ASK_AGAIN_MS = 100;
/** Most boards say much sooner what is a matter of a text: from then on another one is asked as well. */
const SLOW_MS = 5_000;
/** A board that was slow is asked last for so long. */
const REST_MS = 30_000;
const QUICK: ReadonlySet<MethodName> = new Set([
  'models.tokenize',
  'models.detokenize',
  'models.pieces',
  'models.applyTemplate',
]);
const answer = z.object({ result: z.unknown() });
/** The board's fault, or the way to it: another one may do better. */
const BOARDS_FAULT =
  /^(BUS_|FLEET_(BAD_MESSAGE|STAGE_LOST|STAGE_ONLY|TENSOR_(SILENT|ENDED|OUT_OF_STEP|DEVICE))$|DRIVER_|LINUX_|MOCK_|AGENT_(WORKER|DEVICE|CLOSING|INTERNAL|MODEL_NOT_LOADED))/;

/** A board that is on its way out: others have what it had once its lease is over. */
const GOES: ReadonlySet<string> = new Set(['BUS_NO_RESPONDER', 'AGENT_CLOSING']);

/** Whether an error says more of the board than of the request. */
export function isBoardsFault(code: string): boolean {
  return BOARDS_FAULT.test(code);
}

/** Asks boards of the fleet. */
export class Calls {
  readonly #bus: Bus;
  readonly #boards: Boards;
  readonly #waitMs: number;
  readonly #term: number;
  #turn = 0;
  /** Owners of boards that were slow: they are asked last. */
  readonly #slow = new Lasting();

  /** @param waitMs how long a call waits for a board that can answer it @param term of the gateway that asks */
  constructor(bus: Bus, boards: Boards, waitMs: number, term: number) {
    this.#bus = bus;
    this.#boards = boards;
    this.#waitMs = waitMs;
    this.#term = term;
  }

  /** @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE, as the board */
  async ask<M extends MethodName>(
    board: string,
    method: M,
    params: Params<M>,
    timeoutMs: number = ANSWER_MS,
  ): Promise<Result<M>> {
    const schema = checked((value) => checkResult(method, value));
    return this.#read(board, method, params, timeoutMs, schema);
  }

  /** Has a board work for this gateway, and for none before it. @throws PynqLlmError BUS_..., FLEET_OLD_TERM */
  async lead(board: string): Promise<void> {
    await this.#ask(board, 'fleet.lead', {}, LEAD_MS);
  }

  /** Has a board load a model. @returns the attempt that its lease tells of @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE */
  async load(board: string, params: Params<'models.load'>): Promise<number> {
    return (await this.#read(board, 'fleet.load', params, ANSWER_MS, loadBegun)).attempt;
  }

  /** Has a board take no more requests, or take them again. @throws PynqLlmError BUS_... */
  async drain(board: string, drains: boolean): Promise<void> {
    await this.#ask(board, 'fleet.drain', { drains }, ANSWER_MS);
  }

  /** Has a board check itself. @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE */
  check(board: string, timeoutMs: number): Promise<SelfCheck> {
    return this.#read(board, 'fleet.check', {}, timeoutMs, selfCheck);
  }

  /** Asks a board what it says at once. @throws PynqLlmError BUS_... */
  async ping(board: string, timeoutMs: number): Promise<void> {
    await this.#ask(board, 'fleet.ping', {}, timeoutMs);
  }

  /** Asks a board how it is and what it counts. @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE, as the board */
  watch(board: string, timeoutMs: number): Promise<BoardWatch> {
    return this.#read(board, 'fleet.watch', {}, timeoutMs, boardWatch);
  }

  /**
   * Asks one of the boards that have a model loaded, in turn, and another one where the first fails, or is slow with what should be quick.
   * Where there is no other one, it throws what the last one said, at once; where that was lost, another one is waited for.
   * @param model none is needed where it is undefined
   * @throws PynqLlmError FLEET_NO_BOARDS, BUS_..., as the board
   */
  async askAny<M extends MethodName>(
    model: string | undefined,
    method: M,
    params: Params<M>,
    timeoutMs: number = ANSWER_MS,
  ): Promise<Result<M>> {
    const able = (): FleetBoard[] => this.#boards.with(model === undefined ? [] : [model]);
    const tried = new Set<string>();
    const hearsUntil = performance.now() + HEARS_AGAIN_MS;
    const fresh = () => able().filter(({ owner }) => !tried.has(owner));
    /** What slower boards may still say. */
    const slow: Promise<Result<M>>[] = [];
    let failure: PynqLlmError | undefined;
    for (;;) {
      const mayCome = failure === undefined || slow.length > 0 || GOES.has(failure.code);
      const other = this.#boards.until(
        () => {
          const boards = this.#quick(fresh());
          return boards[this.#turn++ % boards.length];
        },
        mayCome ? this.#waitMs : 0,
      );
      const next = await Promise.race([
        other.then((board) => ({ board })),
        ...slow.map(async (answer) => ({ answer: await answer })),
      ]);
      if ('answer' in next) return next.answer;
      const { board } = next;
      if (board === undefined) {
        if (failure !== undefined && !mayCome) throw failure;
        const other = failure === undefined ? '' : 'other ';
        throw noBoards(
          `No ${other}board that could answer ${method} was there within ${this.#waitMs} ms.`,
          method,
          failure,
        );
      }
      tried.add(board.owner);
      try {
        const asked = this.ask(board.name, method, params, timeoutMs);
        const isHedged = QUICK.has(method) && tried.size < MOST_BOARDS;
        const answered = Promise.race([asked, ...slow]);
        const first = isHedged ? await inTime(answered, () => fresh().length > 0) : await answered;
        if (first !== undefined) return first;
        slow.push(unlessFailed(asked));
        this.#slow.note(board.owner, REST_MS, performance.now());
      } catch (error) {
        if (!isPynqLlmError(error) || !isBoardsFault(error.code)) throw error;
        failure = error;
        if (error.code === 'BUS_NO_RESPONDER' && performance.now() < hearsUntil) {
          tried.delete(board.owner);
          await pause(ASK_AGAIN_MS);
        } else if (tried.size >= MOST_BOARDS)
          throw GOES.has(error.code)
            ? noBoards(`${tried.size} boards went away before one answered ${method}.`, method, error)
            : error;
      }
    }
  }

  /** Asks a board what has an answer of a known form. */
  async #read<T>(
    board: string,
    method: string,
    params: unknown,
    timeoutMs: number,
    schema: z.ZodType<T>,
  ): Promise<T> {
    return read(schema, await this.#ask(board, method, params, timeoutMs), whatAnswers(board, method));
  }

  /** Those that were not slow lately, or all where all were. */
  #quick(boards: readonly FleetBoard[]): readonly FleetBoard[] {
    const now = performance.now();
    const quick = boards.filter(({ owner }) => !this.#slow.has(owner, now));
    return quick.length > 0 ? quick : boards;
  }

  async #ask(board: string, method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    const question = pack({ term: this.#term, method, params });
    const data = await this.#unlessLost(
      board,
      method,
      this.#bus.request(callsOf(board), question, { timeoutMs }),
    );
    return unpack(answer, data, whatAnswers(board, method)).result;
  }

  /** A board that is killed says nothing: nobody waits for its answer to the end. */
  async #unlessLost<T>(board: string, method: string, answered: Promise<T>): Promise<T> {
    let forget = () => {};
    const lost = new Promise<never>((_, reject) => {
      const what = `Board ${board} was lost before it answered ${method}.`;
      forget = this.#boards.onLoss(board, () => reject(new PynqLlmError('BUS_NO_RESPONDER', what)));
    });
    try {
      return await Promise.race([answered, lost]);
    } finally {
      forget();
    }
  }
}

function whatAnswers(board: string, method: string): string {
  return `The answer of board ${board} to ${method}`;
}

/** An answer; undefined once it is slow and there is who else may be asked. */
async function inTime<T>(answered: Promise<T>, isOther: () => boolean): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setInterval(() => {
      if (isOther()) resolve(undefined);
    }, SLOW_MS);
  });
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearInterval(timer);
  }
}

/** The answer of a board that may yet fail, where another one is asked already: then nothing comes. */
function unlessFailed<T>(asked: Promise<T>): Promise<T> {
  const answered = asked.catch((error: unknown) => {
    if (isPynqLlmError(error) && isBoardsFault(error.code)) return new Promise<T>(() => {});
    throw error;
  });
  // Handled where it is waited for.
  answered.catch(() => undefined);
  return answered;
}

function noBoards(what: string, method: MethodName, cause: PynqLlmError | undefined): PynqLlmError {
  return new PynqLlmError('FLEET_NO_BOARDS', what, { context: { method }, cause });
}
