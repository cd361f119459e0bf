import type { Bus, Subscription } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { errorToWire, type Result } from '../../protocol/index.js';
import { EXACT_TYPES } from '../exact-types.js';
import { type BoardModel, type BoardStage, isEngine } from '../messages.js';
import { readHop } from '../pipeline/hop.js';
import { boardsOf, type Place, type Plan, placeIn, type RowPlan, readPlan } from '../pipeline/plan-record.js';
import { hopsTo, PLANS } from '../subjects.js';
import type { MemberAgent } from './agent-link.js';
import { fetchStage } from './fetch-model.js';
import { PlanRun } from './plan-run.js';
import { type BoardLinks, TensorRun } from './tensor-run.js';

/** Others are told so often how far it is. */
const TELL_MS = 500;
/** What may wait of hidden states while this process is busy: of every plan a few micro-batches. */
const HOPS = { messages: 1_024, bytes: 64 * 2 ** 20 };

interface StagesOptions {
  readonly bus: Bus;
  readonly agent: MemberAgent;
  readonly log: Log;
  /** The board's name. */
  readonly name: string;
  /** Where it lets other boards in, if it does. */
  readonly links?: BoardLinks | undefined;
  /** Told when what `list` gives has changed. */
  readonly onChange: () => void;
}

/** A model of which this board has a part. */
interface Part {
  readonly plan: Plan;
  readonly place: Place;
  state: BoardModel;
  run: PlanRun | TensorRun | undefined;
  /** Of a stage on several boards. */
  roundTripMs: number | undefined;
  readonly over: AbortController;
  /** What loading it gave. */
  result: Result<'models.load'> | undefined;
}

/**
 * The models of which a board has some layers alone, as the gateway's plans say: it loads them, and takes part until the plan is over.
 * What it has loaded it keeps for the next plan.
 */
export class Stages {
  readonly #options: StagesOptions;
  /** All that the gateway has planned, by their keys. */
  readonly #plans = new Map<string, Plan>();
  /** By model. */
  readonly #parts = new Map<string, Part>();
  /** Models that something is loaded of, and which boards are to have no more. */
  readonly #loaded = new Set<string>();
  readonly #unwanted = new Set<string>();
  readonly #closing = new AbortController();
  readonly #hops: Subscription;
  readonly #forgetLost: () => void;
  /** Of the lease that the board holds. */
  #owner: string | undefined;
  #watching: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #toldAt = 0;
  /** Until it is told that something was refused. */
  #refusal: NodeJS.Timeout | undefined;
  /** Hidden states of plans that are over, or from who has no place in one. */
  refused = 0;

  constructor(options: StagesOptions) {
    this.#options = options;
    const { bus, name, agent, log } = options;
    const onError = (err: unknown) => log.warn({ err }, 'a hidden state of another board could not be taken');
    this.#hops = bus.subscribe(hopsTo(name), ({ subject, data }) => this.#take(subject, data), {
      onError,
      limits: HOPS,
    });
    this.#forgetLost = agent.stages.onLost((reason) => this.#deviceLost(reason));
  }

  /** Resolves when hidden states can be heard. */
  get ready(): Promise<void> {
    return this.#hops.ready;
  }

  list(): BoardModel[] {
    return [...this.#parts.values()].map(({ state }) => state);
  }

  /** What loading its layers of a model gave, where they are loaded: the agent may have no whole file of it. */
  resultOf(model: string): Result<'models.load'> | undefined {
    return this.#parts.get(model)?.result;
  }

  /** Sequences that the board can have at a time, as a multiple of what one with a whole model has. */
  get micro(): number {
    const last = [...this.#parts.values()].filter(({ state }) => state.stage && isEngine(state.stage));
    return Math.max(1, ...last.map(({ plan }) => plan.stages.length));
  }

  /** The board has taken a lease, or has lost it: plans are for an owner of a lease. */
  setOwner(owner: string | undefined): void {
    this.#owner = owner;
    // Before a gateway has declared them there are no plans to watch, and no lease to take.
    if (owner !== undefined) this.#watching ??= this.#watch();
    this.#reconcile();
  }

  close(): void {
    this.#closing.abort();
    this.#forgetLost();
    this.#hops.close();
    clearTimeout(this.#refusal);
    for (const { run, over } of this.#parts.values()) {
      over.abort();
      run?.end(left(this.#options.name));
    }
    this.#parts.clear();
  }

  async #watch(): Promise<void> {
    const { bus, log } = this.#options;
    const { signal } = this.#closing;
    try {
      for await (const event of bus.bucket(PLANS).watch({ signal })) {
        if (event.kind === 'ready') continue;
        const before = this.#plans.get(event.key);
        if (event.kind === 'deleted') {
          this.#plans.delete(event.key);
          // Who unloads a model deletes its plans.
          if (before !== undefined) this.#unwanted.add(before.model);
        } else
          try {
            const plan = readPlan(event.value, event.revision);
            this.#plans.set(event.key, plan);
            this.#unwanted.delete(plan.model);
          } catch (err) {
            log.error({ err, key: event.key }, 'a plan of the fleet cannot be read');
            continue;
          }
        this.#reconcile();
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err }, 'the plans of the fleet are not seen any more');
    }
  }

  /** What this board has of models becomes what the newest plans say. */
  #reconcile(): void {
    if (this.#closing.signal.aborted) return;
    const { name, log } = this.#options;
    const wanted = new Map<string, Pick<Part, 'plan' | 'place'>>();
    for (const plan of this.#plans.values()) {
      const place = this.#owner === undefined ? undefined : placeIn(plan, name, this.#owner);
      const before = wanted.get(plan.model)?.plan.number ?? 0;
      if (place !== undefined && plan.number > before) wanted.set(plan.model, { plan, place });
    }
    let hasChanged = false;
    for (const [model, part] of [...this.#parts]) {
      if (wanted.get(model)?.plan.number === part.plan.number) continue;
      this.#parts.delete(model);
      const { number } = part.plan;
      part.over.abort();
      part.run?.end(
        new PynqLlmError('FLEET_STAGE_LOST', `Plan ${number} is over.`, { context: { plan: number } }),
      );
      log.info({ model, plan: number }, 'a plan of the fleet is over');
      hasChanged = true;
    }
    // One order on all boards: who waits for links of a plan waits for nobody who waits for those of another one.
    for (const { plan, place } of [...wanted.values()].sort((a, b) => a.plan.number - b.plan.number)) {
      const { model } = plan;
      if (this.#parts.has(model)) continue;
      const part: Part = {
        plan,
        place,
        run: undefined,
        roundTripMs: undefined,
        over: new AbortController(),
        result: undefined,
        state: { ...factsOf({ plan, place }), state: 'loading', done: 0, total: 1 },
      };
      this.#parts.set(model, part);
      this.#last = this.#last.then(() => this.#load(part));
      hasChanged = true;
    }
    for (const model of this.#unwanted) {
      this.#unwanted.delete(model);
      if (!this.#parts.has(model)) this.#last = this.#last.then(() => this.#unload(model));
    }
    if (hasChanged) this.#options.onChange();
  }

  async #load(part: Part): Promise<void> {
    const { bus, agent, log, name } = this.#options;
    const { plan, place } = part;
    const { model, settings, kvPool } = plan;
    const isCurrent = () => !this.#closing.signal.aborted && this.#parts.get(model) === part;
    const tell = (done: number, total: number) => {
      const now = performance.now();
      if (!isCurrent() || now - this.#toldAt < TELL_MS) return;
      this.#toldAt = now;
      this.#set(part, { ...factsOf(part), state: 'loading', done, total });
    };
    if (!isCurrent()) return;
    try {
      // What is left of models that this board has no part in any more may be in the way.
      for (const other of [...this.#loaded]) if (!this.#parts.has(other)) await this.#unload(other);
      const { from, to, boards, rows } = plan.stages[place.stage]!;
      const { kvBytes, working } = boards[place.member]!;
      // What is loaded of it meets boards of a plan that is over.
      const joined = rows === undefined ? undefined : await this.#join(part, rows);
      await fetchStage(bus, agent, model, { from, to }, tell, part.over.signal);
      const stages = plan.stages.length;
      const stage = { from, to, stages, kvPool, kvBytes, working, ...(joined && { rows: joined.settings }) };
      this.#loaded.add(model);
      part.result = await agent.stages.load(
        { model, ...settings, coreTypes: EXACT_TYPES },
        stage,
        tell,
        part.over.signal,
      );
      if (!isCurrent() || joined?.run.isOver) return;
      if (joined !== undefined && (stages === 1 || place.member > 0)) joined.run.begin();
      else
        part.run = new PlanRun({
          bus,
          stages: agent.stages,
          board: name,
          plan,
          index: place.stage,
          group: joined?.run,
          onLost: (error) => this.#fail(part, error),
        });
      log.info({ model, plan: plan.number, ...place, from, to }, 'a plan of the fleet begins');
      this.#set(part, { ...factsOf(part), state: 'loaded' });
    } catch (error) {
      if (!isPynqLlmError(error) && isCurrent())
        log.error({ err: error }, 'unexpected error while layers of a model were loaded');
      this.#fail(part, error);
    }
  }

  /** Has links with the other boards of its stage, before anything is loaded. @throws PynqLlmError FLEET_LINKS_OFF, FLEET_STAGE_LOST */
  async #join(part: Part, rows: RowPlan) {
    const { agent, links, name } = this.#options;
    const { plan, place, over } = part;
    if (links === undefined) throw new PynqLlmError('FLEET_LINKS_OFF', `Board ${name} has no links.`);
    const run = await TensorRun.open({
      port: links.port,
      stages: agent.stages,
      plan,
      rows,
      place,
      signal: over.signal,
      // Other stages are to hear of it.
      onLost: (error) => (part.run instanceof PlanRun ? part.run.lose(error) : this.#fail(part, error)),
    });
    part.run = run;
    const { member } = run;
    if (member === 0) {
      part.roundTripMs = await run.roundTripMs();
      this.#set(part, { ...factsOf(part), state: 'loading', done: 0, total: 1 });
    }
    const settings = {
      plan: plan.number,
      cut: rows.cut,
      member,
      lane: run.lane.shared,
      deadlineMs: plan.hopMs,
    };
    return { run, settings };
  }

  async #unload(model: string): Promise<void> {
    if (!this.#loaded.delete(model) || this.#parts.has(model)) return;
    await this.#options.agent.stages.unload(model).catch((err: unknown) => {
      // Loading it failed.
      this.#options.log.info({ err, model }, 'layers of a model were not there to be unloaded');
    });
  }

  #take(subject: string, data: Uint8Array): void {
    const { log } = this.#options;
    const from = subject.slice(subject.lastIndexOf('.') + 1);
    const hop = readHop(data);
    if (this.#parts.get(hop.model)?.run?.take(hop, from)) return;
    this.refused++;
    if (this.#refusal !== undefined) return;
    // Who sends many of them is not answered with as many words.
    log.info(
      { plan: hop.plan, model: hop.model, from },
      'a hidden state of no plan that there is was refused',
    );
    this.#refusal = setTimeout(() => {
      this.#refusal = undefined;
      this.#options.onChange();
    }, TELL_MS);
  }

  #deviceLost(reason: PynqLlmError): void {
    this.#loaded.clear();
    for (const part of this.#parts.values()) if (part.state.state === 'loaded') this.#fail(part, reason);
  }

  #fail(part: Part, error: unknown): void {
    const { plan, place } = part;
    if (this.#parts.get(plan.model) !== part) return;
    part.over.abort();
    part.run?.end(left(this.#options.name));
    part.run = undefined;
    this.#options.log.warn({ err: error, plan: plan.number, ...place }, 'a plan of the fleet cannot go on');
    this.#set(part, {
      ...factsOf(part),
      state: 'failed',
      error: errorToWire(error, 'AGENT_INTERNAL'),
    });
  }

  #set(part: Part, state: BoardModel): void {
    part.state = state;
    this.#options.onChange();
  }
}

function factsOf(part: Pick<Part, 'plan' | 'place'> & Partial<Part>): {
  readonly digest: string;
  readonly attempt: number;
  readonly stage: BoardStage;
} {
  const { plan, place, roundTripMs } = part;
  const { model, number, stages } = plan;
  const { from, to } = stages[place.stage]!;
  const stage = {
    plan: number,
    index: place.stage,
    of: stages.length,
    member: place.member,
    boards: boardsOf(plan).length,
    from,
    to,
    roundTripMs,
  };
  return { digest: model, attempt: number, stage };
}

function left(board: string): PynqLlmError {
  return new PynqLlmError('FLEET_STAGE_LOST', `Board ${board} leaves its part of the model.`);
}
