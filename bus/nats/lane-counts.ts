import type { Stored } from '../bus.js';

/** A lane, to whoever puts into it. */
export interface CountedLane {
  readonly subject: string;
  store(): Promise<Stored>;
  /** The last sequence that its consumer has delivered; 0 where there is none. */
  delivered(): Promise<number>;
  deleteConsumer(): Promise<void>;
  createConsumer(): Promise<void>;
}

/** How far a lane is known to have come, until its broker counts anew. */
interface Reach {
  highest: number;
  isLost: boolean;
  isDeleted: boolean;
  renewed: Promise<void> | undefined;
}

/**
 * nats-server 2.9 that is killed while a stream is empty may count it from 1 again. Its consumers stay where they were: they would deliver
 * nothing until it has come that far. Who puts sees it by the sequence, and has the lane's consumer made anew.
 */
export class LaneCounts {
  /** By subject. */
  readonly #reaches = new Map<string, Reach>();

  /** Puts, and has what was put delivered. @throws PynqLlmError BUS_... */
  async put(lane: CountedLane): Promise<Stored> {
    const reach = await this.#reachOf(lane);
    const { highest } = reach;
    const stored = await lane.store();
    if (!stored.duplicate && stored.sequence <= highest) reach.isLost = true;
    if (reach.isLost) {
      reach.renewed ??= this.#renew(lane, reach, stored.sequence).catch((error: unknown) => {
        reach.renewed = undefined;
        throw error;
      });
      await reach.renewed;
    }
    reach.highest = Math.max(reach.highest, stored.sequence);
    return stored;
  }

  async #reachOf({ subject, delivered }: CountedLane): Promise<Reach> {
    const highest = this.#reaches.has(subject) ? 0 : await delivered();
    const reach = this.#reaches.get(subject) ?? reachAt(highest);
    this.#reaches.set(subject, reach);
    return reach;
  }

  async #renew(lane: CountedLane, reach: Reach, sequence: number): Promise<void> {
    if (reach.isDeleted || (await lane.delivered()) >= sequence) {
      await lane.deleteConsumer();
      reach.isDeleted = true;
      await lane.createConsumer();
    }
    this.#reaches.set(lane.subject, reachAt(sequence));
  }
}

function reachAt(highest: number): Reach {
  return { highest, isLost: false, isDeleted: false, renewed: undefined };
}
