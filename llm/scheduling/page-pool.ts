import { compareClaims } from './order.js';
import type { SequenceView, Snapshot } from './snapshot.js';

/** Pages of KV cache while a step is planned: who gets some, and who gives up theirs. */
export class PagePool {
  /** Sequences that give up their pages, in the order of the decision. */
  readonly preempted = new Set<SequenceView>();
  readonly #snapshot: Snapshot;
  /** Who holds pages, or was given a place; the last claim last. */
  #holders: SequenceView[];
  #free: number;
  /** The batch sequence that keeps its memory before others, and gets it back before them: the first claim of those begun. */
  readonly foremost: SequenceView | undefined;
  /**
   * The foremost, where it waited long enough: what fills the memory would otherwise keep it waiting for as long as
   * interactive requests come. It goes before them for a turn.
   */
  readonly guarded: SequenceView | undefined;
  /** Tokens that fit into what each has been given in this step. */
  readonly #room = new Map<SequenceView, number>();

  constructor(snapshot: Snapshot, running: readonly SequenceView[]) {
    this.#snapshot = snapshot;
    this.#holders = [...running];
    this.#free = snapshot.freePages;
    this.foremost = foremostOf(snapshot);
    this.guarded = this.foremost && isGuarded(this.foremost, snapshot) ? this.foremost : undefined;
  }

  /**
   * A place for a sequence that waits, where its whole prompt fits beside those that are being computed and a page more for
   * everybody who runs. Those who read nothing make room for it, and batch work does for interactive.
   */
  admit(view: SequenceView): boolean {
    const gives = (other: SequenceView) =>
      !other.hasCredit ||
      view === this.guarded ||
      (view.class === 'interactive' && other.class === 'batch' && other !== this.guarded);
    const { maxHeld } = this.#snapshot.limits;
    // Nobody loses pages for a sequence that would not fit all the same.
    const victims: SequenceView[] = [];
    for (;;) {
      const holders = this.#holders.filter((one) => !victims.includes(one));
      const free = victims.reduce((sum, { pages }) => sum + pages, this.#free);
      const needed = [view, ...holders.filter((one) => one.hasCredit && !one.generates)].reduce(
        (sum, one) => sum + this.#pagesInTheEnd(one, one.left + one.found),
        holders.length,
      );
      if (holders.length < maxHeld && (needed <= free || holders.length === 0)) break;
      const victim = this.#victim((other) => gives(other) && !victims.includes(other));
      if (victim === undefined) return false;
      victims.push(victim);
    }
    for (const victim of victims) this.#preempt(victim);
    this.#holders.push(view);
    return true;
  }

  /**
   * Pages for up to `columns` more tokens; those with a later claim, and those who read nothing, make room for the first.
   * @param kept sequences that have columns in the step already
   * @returns how many there is room for
   */
  claim(view: SequenceView, columns: number, kept: ReadonlyMap<SequenceView, number>): number {
    const gives = (other: SequenceView) =>
      other !== view &&
      !kept.has(other) &&
      other.pages > 0 &&
      (!other.hasCredit || this.#compare(view, other) < 0);
    while (this.#fitting(view) < 1) {
      const victim = this.#victim(gives);
      // Who is alone takes what there is, however little: there is nobody to wait for.
      if (victim === undefined) return this.#isAlone(view) ? columns : 0;
      this.#preempt(victim);
    }
    const taken = Math.min(columns, this.#fitting(view));
    this.#free -= this.#pagesFor(view, taken);
    this.#room.set(
      view,
      this.#roomOf(view) + this.#pagesFor(view, taken) * this.#snapshot.pageTokens - taken,
    );
    return taken;
  }

  #isAlone(view: SequenceView): boolean {
    return this.#holders.every((other) => other === view || other.pages === 0);
  }

  #victim(gives: (other: SequenceView) => boolean): SequenceView | undefined {
    return this.#holders
      .filter((view) => view.underWay === undefined && gives(view))
      .sort((a, b) => Number(a.hasCredit) - Number(b.hasCredit) || this.#compare(b, a))[0];
  }

  #compare(a: SequenceView, b: SequenceView): number {
    return Number(b === this.guarded) - Number(a === this.guarded) || compareClaims(a, b);
  }

  #preempt(victim: SequenceView): void {
    this.#holders = this.#holders.filter((one) => one !== victim);
    this.#free += victim.pages;
    this.preempted.add(victim);
  }

  #fitting(view: SequenceView): number {
    return this.#roomOf(view) + this.#free * this.#snapshot.pageTokens;
  }

  #roomOf(view: SequenceView): number {
    return this.#room.get(view) ?? view.room;
  }

  #pagesFor(view: SequenceView, columns: number): number {
    return Math.ceil(Math.max(0, columns - this.#roomOf(view)) / this.#snapshot.pageTokens);
  }

  /** The same in several steps: windows move on, and of pages that they leave there is room again. */
  #pagesInTheEnd(view: SequenceView, columns: number): number {
    const pages = this.#pagesFor(view, columns);
    const { windowed } = this.#snapshot;
    return windowed === undefined
      ? pages
      : Math.ceil(pages - windowed.share * Math.max(0, pages - windowed.pages));
  }
}

function foremostOf({ sequences }: Snapshot): SequenceView | undefined {
  return sequences
    .filter((view) => view.class === 'batch' && view.hasCredit)
    .sort((a, b) => Number(b.begun) - Number(a.begun) || compareClaims(a, b))[0];
}

/**
 * A turn ends once it has lasted its time, and half of it was spent on new tokens and not on a prompt that was thrown out. It
 * comes back no sooner than others had the memory for as long.
 */
function isGuarded(view: SequenceView, { now, limits, turn, lastTurnMs, batchServedAt }: Snapshot): boolean {
  if (view.state === 'waiting')
    return now - Math.max(view.arrivedAt, batchServedAt) >= Math.max(limits.batchPatienceMs, lastTurnMs);
  if (turn?.id !== view.id) return false;
  const computedFor = (turn.generatesAt ?? now) - turn.at;
  return !view.generates || now - turn.at < Math.max(limits.batchTurnMs, 2 * computedFor);
}
