import type { AnswerLengths, Work } from '../../fleet/index.js';
import type { VirtualClock } from './virtual-clock.js';

export const PAGE_TOKENS = 16;

/** A request of the simulation: its prompt as pages, each a number that stands for all tokens up to its end. */
export interface RoutedRequest {
  readonly id: number;
  readonly at: number;
  readonly pages: readonly number[];
  readonly promptTokens: number;
  /** What its answer adds to the pages, whole ones. */
  readonly answerPages: readonly number[];
  /** Nobody knows it before the answer ends. */
  readonly answerTokens: number;
}

interface Job {
  readonly request: RoutedRequest;
  promptLeft: number;
  generated: number;
  begun: boolean;
}

/** A board that serves requests as they come: one column for each that generates, the first prompt beside them. */
export class BoardQueue {
  readonly jobs: Job[] = [];
  /** What it has computed: milliseconds, and requests that it was given. */
  busyMs = 0;
  served = 0;
  /** Pages that it holds, the one used longest ago first. */
  readonly #pages = new Map<number, true>();
  /** What was found for whom when the pages were as they are in this version. */
  readonly #found = new Map<number, { readonly version: number; readonly tokens: number }>();
  #version = 0;
  #isBusy = false;

  constructor(
    readonly clock: VirtualClock,
    readonly stepMs: (columns: number, logits?: number) => number,
    readonly promptColumns: number,
    readonly places: number,
    readonly mostPages: number,
    readonly onFirst: (request: RoutedRequest) => void,
    readonly onEnd: (request: RoutedRequest) => void,
    readonly onStep: () => void,
  ) {}

  /** Tokens of a prompt whose pages are here. */
  found({ id, pages }: RoutedRequest): number {
    const known = this.#found.get(id);
    if (known?.version === this.#version) return known.tokens;
    let count = 0;
    while (count < pages.length && this.#pages.has(pages[count]!)) count++;
    this.#found.set(id, { version: this.#version, tokens: PAGE_TOKENS * count });
    return PAGE_TOKENS * count;
  }

  add(request: RoutedRequest): void {
    this.jobs.push({ request, promptLeft: 0, generated: 0, begun: false });
    this.served++;
    this.step();
  }

  /** Takes back what has not begun. */
  remove(id: number): void {
    const at = this.jobs.findIndex(({ request, begun }) => request.id === id && !begun);
    if (at < 0) return;
    this.jobs.splice(at, 1);
    this.served--;
  }

  work(lengths: AnswerLengths): Work[] {
    return this.jobs.map(({ request, promptLeft, generated, begun }) => ({
      id: request.id,
      promptLeft: begun ? promptLeft : Math.max(1, request.promptTokens - this.found(request)),
      expectedLeft: lengths.expectedLeft(generated),
      begun,
    }));
  }

  step(): void {
    if (this.#isBusy || this.jobs.length === 0) return;
    const inPlaces = this.jobs.slice(0, this.places);
    for (const job of inPlaces) if (!job.begun) this.#begin(job);
    const generating = inPlaces.filter(({ promptLeft }) => promptLeft === 0);
    let room = this.promptColumns;
    const shares = inPlaces.flatMap((job) => {
      const columns = Math.min(job.promptLeft, room);
      room -= columns;
      return columns > 0 ? [{ job, columns }] : [];
    });
    const columns = generating.length + this.promptColumns - room;
    const ended = shares.filter(({ job, columns }) => job.promptLeft === columns).length;
    const ms = this.stepMs(columns, generating.length + ended);
    this.#isBusy = true;
    this.busyMs += ms;
    this.clock.set(this.clock.now + ms, () => {
      this.#isBusy = false;
      for (const { job, columns } of shares) {
        job.promptLeft -= columns;
        const { pages, promptTokens } = job.request;
        this.#keep(pages.slice(0, Math.floor((promptTokens - job.promptLeft) / PAGE_TOKENS)));
        if (job.promptLeft === 0) this.#emit(job);
      }
      for (const job of generating) this.#emit(job);
      this.onStep();
      this.step();
    });
  }

  #begin(job: Job): void {
    job.begun = true;
    job.promptLeft = Math.max(1, job.request.promptTokens - this.found(job.request));
  }

  #emit(job: Job): void {
    job.generated++;
    if (job.generated === 1) this.onFirst(job.request);
    if (job.generated < job.request.answerTokens) return;
    this.#keep([...job.request.pages, ...job.request.answerPages]);
    this.#found.delete(job.request.id);
    this.jobs.splice(this.jobs.indexOf(job), 1);
    this.onEnd(job.request);
  }

  #keep(pages: readonly number[]): void {
    for (const page of pages) {
      if (!this.#pages.delete(page)) this.#version++;
      this.#pages.set(page, true);
    }
    for (const [oldest] of this.#pages) {
      if (this.#pages.size <= this.mostPages) break;
      this.#pages.delete(oldest);
      this.#version++;
    }
  }
}
