import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Bus } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { checkResult, type MethodName, type Params, type Result } from '../../protocol/index.js';
import { type BoardWatch, boardWatch, loadBegun, pack, unpack } from '../messages.js';
import { callsOf } from '../subjects.js';
import { type SelfCheck, selfCheck } from '../verify/self-check.js';
import type { Boards, FleetBoard } from './boards.js';

const ANSWER_MS = 120_000;
const LEAD_MS = 5_000;
/** Boards that a call is tried on. */
const MOST_BOARDS = 3;
/** After its broker was away a board hears again within a second or two, and is asked again so often until then. */
const HEARS_AGAIN_MS = 10_000;
const ASK_AGAIN_MS = 100;
const answer = z.object({ result: z.unknown() });
/** The board's fault, or the way to it: another one may do better. */
const BOARDS_FAULT =
  /^(BUS_|FLEET_(BAD_MESSAGE|STAGE_LOST|STAGE_ONLY|TENSOR_(SILENT|ENDED|OUT_OF_STEP|DEVICE))$|DRIVER_|LINUX_|MOCK_|AGENT_(WORKER|DEVICE|CLOSING|INTERNAL|MODEL_NOT_LOADED))/;

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

  /** @param waitMs how long a call waits for a board that can answer it @param term of the gateway that asks */
  constructor(bus: Bus, boards: Boards, waitMs: number, term: number) {
    this.#bus = bus;
    this.#boards = boards;
    this.#waitMs = waitMs;
    this.#term = term;
  }

  /** @throws PynqLlmError BUS_..., as the board */
  async ask<M extends MethodName>(
    board: string,
    method: M,
    params: Params<M>,
    timeoutMs: number = ANSWER_MS,
  ): Promise<Result<M>> {
    return checkResult(method, await this.#ask(board, method, params, timeoutMs));
  }

  /** Has a board work for this gateway, and for none before it. @throws PynqLlmError BUS_..., FLEET_OLD_TERM */
  async lead(board: string): Promise<void> {
    await this.#ask(board, 'fleet.lead', {}, LEAD_MS);
  }

  /** Has a board load a model. @returns the attempt that its lease tells of @throws PynqLlmError BUS_... */
  async load(board: string, params: Params<'models.load'>): Promise<number> {
    const result = await this.#ask(board, 'fleet.load', params, ANSWER_MS);
    return loadBegun.parse(result).attempt;
  }

  /** Has a board take no more requests, or take them again. @throws PynqLlmError BUS_... */
  async drain(board: string, drains: boolean): Promise<void> {
    await this.#ask(board, 'fleet.drain', { drains }, ANSWER_MS);
  }

  /** Has a board check itself. @throws PynqLlmError BUS_..., FLEET_BAD_MESSAGE */
  async check(board: string, timeoutMs: number): Promise<SelfCheck> {
    const result = await this.#ask(board, 'fleet.check', {}, timeoutMs);
    const parsed = selfCheck.safeParse(result);
    if (parsed.success) return parsed.data;
    throw new PynqLlmError('FLEET_BAD_MESSAGE', `What board ${board} says of itself cannot be read.`, {
      cause: parsed.error,
    });
  }

  /** Asks a board what it says at once. @throws PynqLlmError BUS_... */
  async ping(board: string, timeoutMs: number): Promise<void> {
    await this.#ask(board, 'fleet.ping', {}, timeoutMs);
  }

  /** Asks a board how it is and what it counts. @throws PynqLlmError BUS_..., as the board */
  async watch(board: string, timeoutMs: number): Promise<BoardWatch> {
    return boardWatch.parse(await this.#ask(board, 'fleet.watch', {}, timeoutMs));
  }

  /**
   * Asks one of the boards that have a model loaded, in turn, and another one where the first fails.
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
    for (;;) {
      const board = await this.#boards.until(() => {
        const boards = able();
        const fresh = boards.filter(({ owner }) => !tried.has(owner));
        return fresh[this.#turn++ % fresh.length];
      }, this.#waitMs);
      if (board === undefined)
        throw new PynqLlmError(
          'FLEET_NO_BOARDS',
          `No board that could answer ${method} was there within ${this.#waitMs} ms.`,
          { context: { method } },
        );
      tried.add(board.owner);
      try {
        return await this.ask(board.name, method, params, timeoutMs);
      } catch (error) {
        if (!isPynqLlmError(error) || !isBoardsFault(error.code)) throw error;
        if (error.code === 'BUS_NO_RESPONDER' && performance.now() < hearsUntil) {
          tried.delete(board.owner);
          await pause(ASK_AGAIN_MS);
        } else if (tried.size >= MOST_BOARDS) throw error;
      }
    }
  }

  async #ask(board: string, method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    const question = pack({ term: this.#term, method, params });
    const data = await this.#unlessLost(
      board,
      method,
      this.#bus.request(callsOf(board), question, { timeoutMs }),
    );
    return unpack(answer, data, `The answer of board ${board} to ${method}`).result;
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
