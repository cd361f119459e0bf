import { setTimeout as delay } from 'node:timers/promises';
import { type LoadClient, mistakeOf, type Outcome, Reading } from '../../load/answer.js';
import type { MemorySample } from '../../load/observe.js';
import { inTime, leftBehind, openClient, prepare, solve } from '../../load/run-load.js';
import {
  Dice,
  makeTasks,
  type PlannedRequest,
  planRequest,
  type SolvedTask,
  TRANSPORTS,
} from '../../load/workload.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { ProcessFleet } from '../support/process-fleet.js';
import { Inspector, sample } from './memory.js';
import { type Ended, type FleetLoadReport, type Outage, reportOf } from './report.js';

const BOARDS = ['one', 'two', 'three', 'four'];
/** The last one lives through it all: what boards keep is seen there. */
const KILLED = BOARDS.slice(0, -1);
const KILL_EVERY_MS = 15_000;
/** The broker is killed after this part of the time, so that it has most of it for another life; how long it is away. */
const BROKER_AT = 0.2;
const BROKER_AWAY_MS = 1_000;
const TASKS = 32;
/** One client comes after the other: a gateway lets few who are not known yet in at a time. */
const COME_MS = 150;
/** Who is not let in knocks again, so often. */
const MOST_KNOCKS = 10;
const KNOCK_MS = 1_000;
/** What is not answered by then never will be, also on a busy machine. */
const DEADLINE_MS = 300_000;
/** As the official client and Node.js say that a connection was closed before anything came of it. */
const NOT_LET_IN = /^Connection error\.$|^socket hang up$|ECONNRESET/;
/** nats-server has the newest block of its log in memory until it is full: 8 MiB, in room that is doubled as it grows. */
const BROKER_CACHE_MIB = 16;
/** Its main thread has an inspector, which collects garbage before its memory is measured. */
const INSPECTED = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

export interface FleetLoadOptions {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  /** What is going on, now and then. */
  readonly say: (text: string) => void;
}

/**
 * Puts load on a fleet of processes over a real broker, of which boards are killed and started again, and the broker once;
 * reports what became of each request, and what each part keeps in memory.
 */
export async function runFleetLoad(options: FleetLoadOptions): Promise<FleetLoadReport> {
  const { seconds, clients, seed, say } = options;
  using store = temporaryDirectory();
  const tasks = await solve(makeTasks(seed, TASKS), store.path);
  await using fleet = await ProcessFleet.start({ names: BOARDS, env: INSPECTED });
  await prepare(fleet.url);
  const loaded = (await fleet.status()).boards[0].models.map(({ model }) => model);
  await fleet.ready(BOARDS.length, loaded);
  say(`${BOARDS.length} boards have ${loaded.length} models`);

  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  const ended: Ended[] = [];
  const mistakes: string[] = [];
  const over = new AbortController();
  const kills: string[] = [];
  const memory = new MemoryOf(fleet, startedAt);
  let outage: Outage | undefined;
  const background = [
    everyOr(KILL_EVERY_MS, over.signal, async () => {
      const name = KILLED[kills.length % KILLED.length];
      // On a slow machine it may not be there again yet.
      if (!fleet.running.includes(name)) return;
      kills.push(name);
      await fleet.kill(name);
      fleet.bringBack(name);
    }),
    pause(seconds * 1_000 * BROKER_AT, over.signal).then(async () => {
      if (over.signal.aborted) return;
      outage = { from: performance.now(), to: Number.POSITIVE_INFINITY };
      memory.brokerEnds();
      await fleet.broker.kill();
      await delay(BROKER_AWAY_MS);
      await fleet.broker.run();
      outage = { ...outage, to: performance.now() };
    }),
    everyOr(Math.max(1_000, seconds * 10), over.signal, () => memory.look()),
    everyOr(10_000, over.signal, async () => {
      const { boards, waiting, redelivered } = await fleet.status();
      say(
        `${((performance.now() - startedAt) / 1_000).toFixed(0)} s: ${ended.length} answers, ${mistakes.length} mistakes, ${boards.length} boards, ${waiting} wait, ${redelivered} went on elsewhere`,
      );
    }),
  ];
  try {
    await Promise.all(
      Array.from({ length: clients }, (_, number) =>
        runClient({ number, agentUrl: fleet.url, seed, tasks, until, ended, mistakes }),
      ),
    );
  } finally {
    over.abort();
    await Promise.all(background);
    memory[Symbol.dispose]();
  }
  const took = (performance.now() - startedAt) / 1_000;
  mistakes.push(...(await leftBehind(fleet.url)));
  const status = await fleet.status();
  if (status.diverged > 0) mistakes.push(`${status.diverged} tokens of two boards differed`);
  const { redelivered, repeated, tokens } = status;
  return reportOf({
    seconds: took,
    clients,
    seed,
    ended,
    outage,
    kills: kills.length,
    memory: memory.parts,
    counts: { redelivered, repeated, tokens },
    mistakes,
  });
}

interface ClientRun {
  readonly number: number;
  readonly agentUrl: string;
  readonly seed: number;
  readonly tasks: readonly SolvedTask[];
  readonly until: number;
  readonly ended: Ended[];
  readonly mistakes: string[];
}

/** A client's requests, one after the other, until the time is over. One that is refused is asked again when it was told to. */
async function runClient(run: ClientRun): Promise<void> {
  const { number, tasks, until, ended, mistakes } = run;
  const dice = new Dice(run.seed * 1_000 + number + 1);
  const transport = TRANSPORTS[number % TRANSPORTS.length];
  await delay(number * COME_MS);
  await using client = await openClient(run, transport);
  for (let asked = 0; performance.now() < until; asked++) {
    const request = { ...planRequest(dice, tasks, transport, 'interactive'), answers: 1 };
    const title = `request ${asked} of client ${number} (${transport}, ${request.behaviour}, ${request.speculation})`;
    try {
      const { reading, outcome, refusals } = await askUntilTaken(client, request, until);
      const mistake = mistakeOf({ transport, request, reading, outcome });
      if (mistake !== undefined) mistakes.push(`${title}: ${mistake}`);
      ended.push({ title, outcome, refusals, at: performance.now() });
    } catch (error) {
      mistakes.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await delay(request.thinkMs);
  }
}

/** Asks again where the fleet has too much to do, and says when, or where its gateway did not let the client in. */
async function askUntilTaken(client: LoadClient, request: PlannedRequest, until: number) {
  let knocks = 0;
  for (let refusals = 0; ; refusals++) {
    const reading = new Reading();
    let outcome: Outcome;
    try {
      outcome = await inTime(client.perform(request, reading), DEADLINE_MS);
    } catch (error) {
      if (!(error instanceof Error) || !NOT_LET_IN.test(error.message)) throw error;
      outcome = { kind: 'failed', code: 'SDK_CONNECT_FAILED' };
    }
    const isKnocking =
      outcome.kind === 'failed' && outcome.code === 'SDK_CONNECT_FAILED' && knocks++ < MOST_KNOCKS;
    if (outcome.kind !== 'refused' && !isKnocking) return { reading, outcome, refusals };
    const pauseMs = outcome.kind === 'refused' ? outcome.retryAfterMs : KNOCK_MS;
    const leftMs = until - performance.now();
    // Who was told to come back when the time is over does not.
    if (pauseMs > leftMs) return { reading, outcome: { kind: 'cancelled' } as const, refusals: refusals + 1 };
    await delay(pauseMs);
  }
}

/** What each part of the fleet that lives through the load has in memory. */
class MemoryOf implements Disposable {
  readonly #fleet: ProcessFleet;
  readonly #startedAt: number;
  readonly #gateway: MemorySample[] = [];
  readonly #board: MemorySample[] = [];
  #broker: MemorySample[] = [];
  #inspectors: Promise<readonly [Inspector, Inspector]>;

  constructor(fleet: ProcessFleet, startedAt: number) {
    this.#fleet = fleet;
    this.#startedAt = startedAt;
    this.#inspectors = Promise.all([Inspector.open(fleet.gateway.log), Inspector.open(this.#living.log)]);
  }

  get #living() {
    return this.#fleet.board(BOARDS[BOARDS.length - 1]);
  }

  get parts() {
    return [
      { part: 'gateway', samples: this.#gateway, cacheMib: 0 },
      { part: 'broker', samples: this.#broker, cacheMib: BROKER_CACHE_MIB },
      { part: 'board', samples: this.#board, cacheMib: 0 },
    ];
  }

  /** Its next life begins with nothing. */
  brokerEnds(): void {
    this.#broker = [];
  }

  async look(): Promise<void> {
    const [gateway, board] = await this.#inspectors;
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const { pid } = this.#fleet.broker;
    await Promise.all([
      sample(this.#fleet.gateway.child.pid ?? 0, seconds, this.#gateway, gateway),
      sample(this.#living.child.pid ?? 0, seconds, this.#board, board),
      pid === undefined ? undefined : sample(pid, seconds, this.#broker),
    ]);
  }

  [Symbol.dispose](): void {
    this.#inspectors.then(
      (both) => {
        for (const one of both) one[Symbol.dispose]();
      },
      () => {},
    );
  }
}

async function everyOr(ms: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (;;) {
    await pause(ms, signal);
    if (signal.aborted) return;
    await work();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
