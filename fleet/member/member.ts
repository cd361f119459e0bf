import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { endFacts } from '../../agent/index.js';
import { type Bus, type Delivery, type Lease, type Subscription, takeLease } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { BOARD_NAME, checkParams, errorToWire, type GenerateEvent, traceIdOf } from '../../protocol/index.js';
import {
  type BoardModel,
  type BoardRecord,
  boardCall,
  checkDrain,
  control,
  generates,
  type Order,
  order,
  pack,
  unpack,
} from '../messages.js';
import { BOARDS, callsOf, controlOf, ENDS, LOG, WORK_QUEUE } from '../subjects.js';
import { checkSelf } from '../verify/self-check.js';
import { AgentLink, type MemberAgent } from './agent-link.js';
import { answerCall } from './calls.js';
import { Loads } from './loads.js';
import { PageNewsTeller } from './page-news.js';
import { Run } from './run.js';
import { Stages } from './stages.js';
import type { BoardLinks } from './tensor-run.js';
import { Terms } from './terms.js';
import { Watch } from './watch.js';

/** A board that was not heard of for so long counts as dead; it is the fleet's most important time. */
const LEASE_MS = 3_000;
/** Requests that a board wants at a time: its engine generates as many side by side. */
const PLACES = 8;
const PULL_MS = 60_000;
/** Until a gateway has called it is looked so often whether one has. */
const LED_MS = 20;
/** Nothing to pull from, or no broker: tried again after. */
const AGAIN_MS = 100;
/** A request is said to be worked on so often. */
const WORKING_MS = 5_000;
/** What could not be refused is delivered again after so long. */
const NAK_MS = 1_000;

/** After these the device has no model any more. */
const LOST: ReadonlySet<string> = new Set([
  'AGENT_WORKER_CRASHED',
  'AGENT_WORKER_HUNG',
  'AGENT_MODEL_NOT_LOADED',
]);

export interface MemberOptions {
  readonly bus: Bus;
  /** Of the board in its fleet: 1 to 63 lower-case letters, digits and "-". */
  readonly name: string;
  readonly agent: MemberAgent;
  readonly log: Log;
  /** Milliseconds of silence after which the board counts as dead: three seconds unless given; from 100. */
  readonly leaseMs?: number | undefined;
  /** Where it lets boards in that compute a model together with it by rows; nowhere unless given. */
  readonly links?: BoardLinks | undefined;
  /**
   * Nobody else can be called so: the broker lets only this board's key write its lease, and this key read none. Then
   * another board of this name is not looked for.
   */
  readonly soleName?: boolean | undefined;
}

/** A board as part of a fleet: pulls requests, runs them on its own agent, and logs their tokens. It opens no port but that of its links, where it has any. */
export class Member implements AsyncDisposable {
  readonly name: string;
  readonly #options: MemberOptions;
  readonly #link: AgentLink;
  readonly #loads: Loads;
  readonly #stages: Stages;
  readonly #watch: Watch;
  readonly #info: BoardRecord['info'];
  readonly #runs = new Map<string, Run>();
  readonly #terms = new Terms();
  readonly #closing = new AbortController();
  readonly #subscriptions: Subscription[] = [];
  #pageNews: PageNewsTeller | undefined;
  #lease: Lease | undefined;
  /** On its way out, and drained for as long as its operator wants it. */
  #isLeaving = false;
  #isDrained = false;
  #ended: Promise<void> = Promise.resolve();

  private constructor(options: MemberOptions, link: AgentLink, info: BoardRecord['info']) {
    this.#options = options;
    this.name = options.name;
    this.#link = link;
    this.#watch = new Watch(link);
    this.#info = info;
    this.#loads = new Loads({ ...options, link, onChange: () => this.#tell() });
    this.#stages = new Stages({ ...options, onChange: () => this.#tell() });
  }

  /** @throws PynqLlmError FLEET_BOARD_NAME */
  static requireName(name: string): void {
    if (!BOARD_NAME.test(name))
      throw new PynqLlmError('FLEET_BOARD_NAME', `"${name}" is no name of a board.`);
  }

  /** Resolves with the reason when the agent has ended, or the member was closed. */
  get lost(): Promise<PynqLlmError> {
    return this.#link.lost;
  }

  /**
   * Joins a fleet; resolves when the gateway can know of the board.
   * @throws PynqLlmError FLEET_BOARD_NAME, AGENT_DEVICE_FAILED, BUS_...
   */
  static async join(options: MemberOptions): Promise<Member> {
    const { name, agent } = options;
    Member.requireName(name);
    const link = await AgentLink.open(agent);
    const member = new Member(options, link, await link.request('board.info', {}));
    try {
      await member.#begin();
      return member;
    } catch (error) {
      await member.close();
      throw error;
    }
  }

  /** Takes no more requests, and waits for at most `ms` milliseconds until those in hand have ended. */
  async drain(ms: number): Promise<void> {
    this.#isLeaving = true;
    this.#tell();
    const ends = performance.now() + ms;
    while (this.#runs.size > 0 && performance.now() < ends) await pause(Math.min(AGAIN_MS, ms));
  }

  /** Leaves the fleet; what is in hand goes on elsewhere. The agent stays. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return this.#ended;
    this.#closing.abort();
    this.#loads.close();
    this.#stages.close();
    this.#pageNews?.close();
    for (const subscription of this.#subscriptions) subscription.close();
    await this.#lease?.release();
    await this.#ended;
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #begin(): Promise<void> {
    const { bus, log } = this.#options;
    const onError = (err: unknown) => log.warn({ err }, 'a message of the fleet could not be taken');
    this.#subscriptions.push(
      bus.answer(callsOf(this.name), ({ data }) => this.#answer(data), { onError, concurrency: 64 }),
      bus.subscribe(controlOf(this.name), ({ data }) => this.#control(data), { onError }),
    );
    await Promise.all([...this.#subscriptions, this.#stages].map(({ ready }) => ready));
    const lease = await this.#take();
    this.#ended = this.#stay(lease);
    this.#pageNews = new PageNewsTeller({
      ...this.#options,
      link: this.#link,
      board: this.name,
      models: () => this.#models.filter(generates).map(({ digest }) => digest),
      isBusy: () => this.#runs.size > 0,
    });
  }

  /** @throws PynqLlmError FLEET_BOARD_NAME, BUS_... */
  async #take(): Promise<Lease> {
    const { bus, leaseMs = LEASE_MS, soleName: sole = false } = this.#options;
    // A board that comes back is not the one that was there.
    const owner = randomBytes(12).toString('hex');
    const value = JSON.stringify(this.#record());
    const lease = await takeLease(bus, bus.bucket(BOARDS), this.name, {
      owner,
      ttlMs: leaseMs,
      sole,
      value,
      // A board of this name that died without a word may have left its own.
      waitMs: 2 * leaseMs,
      signal: this.#closing.signal,
    });
    if (lease === undefined)
      throw new PynqLlmError('FLEET_BOARD_NAME', `Another board of the fleet is called ${this.name}.`);
    this.#lease = lease;
    this.#stages.setOwner(owner);
    // What has changed while it waited for the lease: a model that was loaded meanwhile, above all.
    if (JSON.stringify(this.#record()) !== value) this.#tell();
    return lease;
  }

  /** Works until the member is closed, with one lease after the other. */
  async #stay(first: Lease): Promise<void> {
    const { log } = this.#options;
    for (let lease: Lease | undefined = first; lease !== undefined; ) {
      await this.#work(AbortSignal.any([lease.lost, this.#closing.signal]));
      lease = undefined;
      this.#stages.setOwner(undefined);
      while (!this.#closing.signal.aborted && lease === undefined) {
        log.warn({ board: this.name }, 'the lease of the board was lost: what it had goes on elsewhere');
        try {
          lease = await this.#take();
        } catch (err) {
          log.warn({ err }, 'the fleet cannot be joined again yet');
          await pause(AGAIN_MS);
        }
      }
    }
  }

  /** Pulls and runs requests until the signal. */
  async #work(signal: AbortSignal): Promise<void> {
    const queue = this.#options.bus.queue(WORK_QUEUE);
    while (!signal.aborted && !this.#terms.isLed) await pause(LED_MS);
    while (!signal.aborted)
      try {
        const delivery = await queue.pull(this.name, { waitMs: PULL_MS, signal });
        if (delivery !== undefined && !signal.aborted) void this.#run(delivery, signal);
      } catch (err) {
        // The gateway opens a board's lane once it knows of the board.
        if (!isPynqLlmError(err, 'BUS_MISSING'))
          this.#options.log.warn({ err }, 'requests cannot be pulled now');
        if (isPynqLlmError(err, 'BUS_CLOSED')) return;
        await pause(AGAIN_MS);
      }
    this.#endRuns();
  }

  /** What they still say goes nowhere. */
  #endRuns(): void {
    for (const run of this.#runs.values()) run.cancel();
    this.#runs.clear();
  }

  /** A gateway says something. @throws PynqLlmError FLEET_OLD_TERM */
  #hear(term: number): void {
    const { over } = this.#terms;
    this.#terms.hear(term);
    if (over.aborted) this.#endRuns();
  }

  async #run(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { bus, log } = this.#options;
    let taken: ReturnType<typeof unpack<typeof order._output>>;
    try {
      taken = unpack(order, delivery.data, 'A request of the gateway');
      this.#hear(taken.term);
    } catch (err) {
      log.error({ err }, 'a request of a gateway is refused');
      return this.#refuse(delivery, err);
    }
    const { generation } = taken.params;
    const before = this.#runs.get(generation);
    // Delivered again by the broker, which did not hear in time that it is worked on.
    if (before?.delivery === taken.delivery) return delivery.working();
    if (before !== undefined && before.delivery > taken.delivery)
      return delivery.ack().catch(() => undefined);
    // Given again by the gateway, which has heard its end, or wants to hear nothing of it.
    before?.cancel();
    const either = AbortSignal.any([signal, this.#terms.over]);
    const run = new Run({ bus, link: this.#link, board: this.name, order: taken, delivery, signal: either });
    this.#runs.set(generation, run);
    const working = setInterval(() => delivery.working(), WORKING_MS);
    try {
      const end = await run.done();
      this.#tellEnd(taken, end);
      if (end.type === 'failed' && LOST.has(end.error.code)) this.#loads.forgetAll();
    } finally {
      clearInterval(working);
      if (this.#runs.get(generation) === run) this.#runs.delete(generation);
    }
  }

  /** By the id of its trace a request is found in the logs of all who had a part in it. */
  #tellEnd({ params: { generation, service }, delivery }: Order, end: GenerateEvent): void {
    const traceparent = service?.traceparent;
    if (traceparent === undefined || end.type === 'token') return;
    const facts = { board: this.name, generation, delivery, trace: traceIdOf({ traceparent }) };
    this.#options.log.info({ ...facts, ...endFacts(end) }, 'a request ended on this board');
  }

  /** Says of a request that cannot be read, or comes too late, that it has failed here: another version of the board may read it. */
  async #refuse(delivery: Delivery, reason: unknown): Promise<void> {
    const [generation = '', term = '', number = ''] = delivery.id.split('.');
    const event = { type: 'failed', error: errorToWire(reason, 'AGENT_INTERNAL') } as const;
    try {
      const data = pack({ term: Number(term), delivery: Number(number), event });
      const subject = `${ENDS}.${this.name}.${generation}`;
      await this.#options.bus.log(LOG).append(subject, `${delivery.id}.${this.name}.end`, data);
      await delivery.ack();
    } catch (err) {
      this.#options.log.warn({ err }, 'nobody was told that a request cannot be read');
      delivery.nak(NAK_MS);
    }
  }

  #control(data: Uint8Array): void {
    const message = unpack(control, data, "A word of the gateway's");
    this.#hear(message.term);
    const run = this.#runs.get(message.generation);
    if (message.kind === 'grant') run?.grant(message.credit);
    else if (run !== undefined && run.delivery <= message.delivery) run.cancel();
  }

  async #answer(data: Uint8Array): Promise<Uint8Array> {
    const { term, method, params } = unpack(boardCall, data, "A call of the gateway's");
    this.#hear(term);
    return pack({ result: await this.#resultOf(method, params) });
  }

  async #resultOf(method: string, params: unknown): Promise<unknown> {
    if (method === 'fleet.lead') return {};
    if (method === 'fleet.load') return { attempt: this.#loads.begin(checkParams('models.load', params)) };
    if (method === 'fleet.ping') return {};
    if (method === 'fleet.watch') return this.#watch.read();
    if (method === 'fleet.check') return checkSelf(this.#link, this.#info, this.#models);
    if (method === 'fleet.drain') {
      this.#isDrained = checkDrain(params);
      this.#tell();
      return {};
    }
    if (method === 'generate.progress') {
      const { generation } = checkParams(method, params);
      const run = this.#runs.get(generation);
      if (run !== undefined) return run.progress();
      throw new PynqLlmError(
        'AGENT_GENERATION_UNKNOWN',
        `Board ${this.name} has no generation ${generation}.`,
      );
    }
    if (method === 'models.load') {
      const loaded = this.#stages.resultOf(checkParams(method, params).model);
      if (loaded !== undefined) return loaded;
    }
    // Boards have the file of what they have loaded; of others only the gateway has it.
    if (method === 'models.check') await this.#loads.fetch(checkParams(method, params).model);
    const result = await answerCall(this.#link, method, params);
    if (method === 'models.unload' || method === 'models.delete')
      this.#loads.forget(checkParams(method, params).model);
    return result;
  }

  get #models(): BoardModel[] {
    return [...this.#loads.list(), ...this.#stages.list()];
  }

  #record(): BoardRecord {
    return {
      info: this.#info,
      leaseMs: this.#options.leaseMs ?? LEASE_MS,
      places: PLACES * this.#stages.micro,
      isDraining: this.#isLeaving || this.#isDrained,
      models: this.#models,
      refusedHops: this.#stages.refused,
      links: this.#options.links?.address,
    };
  }

  #tell(): void {
    this.#lease?.set(JSON.stringify(this.#record())).catch((err: unknown) => {
      this.#options.log.warn({ err }, 'the state of the board cannot be told now');
    });
  }
}
