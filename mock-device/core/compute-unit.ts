import type { Clock } from '../clock.js';
import type { Loader } from './loader.js';
import type { ComputeCourse, CoreTiming } from './timing.js';

/** A COMPUTE: its steps and, from its start on, the kb that it started with. */
export interface Computation {
  readonly rows: number;
  readonly columns: number;
}

interface Running {
  readonly computation: Computation;
  readonly kb: number;
  readonly start: number;
  readonly course: ComputeCourse;
}

interface Loaders {
  readonly inputLoader: Loader;
  readonly weightLoader: Loader;
}

/** What a COMPUTE does to the core around it. */
export interface ComputeHost {
  /** A COMPUTE starts. @returns kb, or undefined when the core stops there */
  starts(computation: Computation): number | undefined;
  /** The control unit may issue the next one from `cycle` on. */
  free(cycle: number): void;
  /** Its last result is stored at `stored`. @returns whether there is room for its results */
  results(computation: Computation, stored: number): boolean;
  /** A load writes blocks that the COMPUTE has yet to read. */
  overtaken(): void;
  /** A loader will never be idle. */
  stuck(why: string): void;
}

/**
 * Scheduler and computation. A COMPUTE that was issued starts when the one before it is over and both loaders rest;
 * meanwhile the control unit goes on. Nothing holds a load or a change of type back while it reads: the real core
 * corrupts its results.
 */
export class ComputeUnit {
  #issued: Computation | undefined;
  #issuedAt = 0;
  #running: Running | undefined;
  /** Cycle at which the last computation was over; Infinity while its results lack room. */
  #over = 0;
  /** The start waits for a loader that lacks words. */
  #waitsForWords = false;
  readonly #clock: Clock;
  readonly #timing: CoreTiming;
  readonly #loaders: Loaders;
  readonly #host: ComputeHost;

  constructor(clock: Clock, timing: CoreTiming, loaders: Loaders, host: ComputeHost) {
    this.#clock = clock;
    this.#timing = timing;
    this.#loaders = loaders;
    this.#host = host;
  }

  /** A COMPUTE was issued and has not started: the control unit cannot issue another or change kb and type. */
  get isScheduled(): boolean {
    return this.#issued !== undefined;
  }

  /** A COMPUTE was issued and is not over. */
  get isBusy(): boolean {
    return this.#issued !== undefined || this.#running !== undefined;
  }

  issue(now: number, computation: Computation): void {
    this.#issued = computation;
    this.#issuedAt = now;
    this.#timing.issue(now);
    if (this.#over !== Number.POSITIVE_INFINITY) this.#offerStart();
  }

  #offerStart(): void {
    this.#clock.at(this.#timing.offerStart(Math.max(this.#issuedAt, this.#over)), this.#tryStart);
  }

  readonly #tryStart = (): void => {
    const { now } = this.#clock;
    if (this.#issued === undefined) return;
    const { inputLoader, weightLoader } = this.#loaders;
    if (inputLoader.isBusyAt(now)) this.#waitFor(inputLoader);
    else if (weightLoader.isBusyAt(now)) this.#waitFor(weightLoader);
    else this.#start(this.#issued);
  };

  #waitFor(loader: Loader): void {
    if (loader.stuck !== undefined) this.#host.stuck(loader.stuck);
    else if (loader.idle === Number.POSITIVE_INFINITY) this.#waitsForWords = true;
    else this.#clock.at(loader.idle + 1, this.#tryStart);
  }

  /** A loader has all words of its load. */
  loaded(): void {
    if (!this.#waitsForWords) return;
    this.#waitsForWords = false;
    this.#tryStart();
  }

  #start(computation: Computation): void {
    const { now } = this.#clock;
    const kb = this.#host.starts(computation);
    if (kb === undefined) return;
    this.#issued = undefined;
    const { rows, columns } = computation;
    const course = this.#timing.compute(now, rows, columns, kb);
    this.#running = { computation, kb, start: now, course };
    this.#over = Number.POSITIVE_INFINITY;
    this.#clock.at(course.end, this.#end);
    this.#host.free(this.#timing.start(now));
    if (this.isOvertaken()) this.#host.overtaken();
  }

  readonly #end = (): void => {
    const running = this.#running;
    if (running === undefined || this.#clock.now < running.course.end) return;
    if (!this.#host.results(running.computation, running.course.stored)) return;
    this.#running = undefined;
    this.#over = this.#clock.now;
    if (this.#issued !== undefined) this.#offerStart();
  };

  /** There is room for results again. */
  roomMade(): void {
    this.#end();
  }

  /** The core stops. */
  stop(): void {
    this.#issued = undefined;
    this.#running = undefined;
  }

  /** When a loader that becomes idle at `idle` looks for its next load: computations hold it up then, not before. */
  resumes(idle: number): number {
    const running = this.#running;
    if (running === undefined) return idle;
    const { end } = running.course;
    return running.start < idle && idle <= end ? end + 1 : idle;
  }

  /** Whether a type written at `cycle` is one that products of the running COMPUTE are taken with. */
  readsTypeAfter(cycle: number): boolean {
    const running = this.#running;
    return running !== undefined && products(running) > 0 && cycle < running.course.end - 1;
  }

  /** Whether the load at hand writes blocks that the running COMPUTE has yet to read. */
  isOvertaken(): boolean {
    const running = this.#running;
    if (running === undefined || products(running) === 0) return false;
    const { kb, start, computation, course } = running;
    const { rows, columns } = computation;
    const { from, perProduct } = course;
    const column = rows * kb;
    const { inputLoader, weightLoader } = this.#loaders;
    const inputRead = (block: number): number =>
      from + (Math.floor(block / kb) * column + column - kb + (block % kb)) * perProduct;
    const weightRead = (block: number): number => from + ((columns - 1) * column + block) * perProduct;
    return (
      inputLoader.overtakes(start, columns * kb, inputRead) ||
      weightLoader.overtakes(start, column, weightRead)
    );
  }
}

function products({ computation, kb }: Running): number {
  return computation.rows * computation.columns * kb;
}
