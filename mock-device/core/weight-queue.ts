/** Words between a lane's weight transfer and the loader that unpacks them. */
const QUEUE_WORDS = 16;
/** Cycles from a word at the core until it is in that queue, and from there until the loader can take it. */
const TO_QUEUE = 1;
const TO_LOADER = 1;
/** The loader pauses so long after the blocks that it unpacks together. */
const PAUSE = 2;

/** A weight load whose words have all come. */
export interface QueuedLoad {
  readonly lanes: number;
  readonly blocks: number;
  readonly wordsPerBlock: number;
  /** When a lane's word was at the core: never earlier than the word before it. */
  readonly arrival: (lane: number, word: number) => number;
}

/**
 * When the loader takes the last word of a load, word by word. It takes all that a queue holds in one cycle, and the
 * transfer refills it in the next: words that have waited come through in bursts, up to 16 in two cycles.
 *
 * @param from when the loader has the block count, which has a place in each queue until then
 */
export function lastWordTaken({ lanes, blocks, wordsPerBlock, arrival }: QueuedLoad, from: number): number {
  const needed = Array.from(
    { length: lanes },
    (_, lane) => Math.ceil((blocks - lane) / lanes) * wordsPerBlock,
  );
  const come = new Array<number>(lanes).fill(0);
  const queued = new Array<number>(lanes).fill(0);
  const taken = new Array<number>(lanes).fill(0);
  const hasCome = (lane: number, by: number): number => {
    while (come[lane] < needed[lane] && arrival(lane, come[lane]) <= by) come[lane]++;
    return come[lane];
  };
  for (let lane = 0; lane < lanes; lane++)
    queued[lane] = Math.min(QUEUE_WORDS - 1, hasCome(lane, from - TO_QUEUE - TO_LOADER));
  let isHeld = 1;
  let word = 0;
  let lane = 0;
  let block = 0;
  let resumes = from;
  for (let now = from; ; now++) {
    const start = queued.slice();
    const room = queued.map((count, its) => QUEUE_WORDS - (count - taken[its]) - isHeld);
    isHeld = 0;
    while (now >= resumes && taken[lane] < start[lane]) {
      taken[lane]++;
      lane++;
      if (lane < lanes && block + lane < blocks) continue;
      lane = 0;
      word++;
      if (word < wordsPerBlock) continue;
      word = 0;
      block += lanes;
      if (block >= blocks) return now;
      resumes = now + PAUSE;
    }
    let next = Number.POSITIVE_INFINITY;
    for (let its = 0; its < lanes; its++) {
      queued[its] += Math.min(Math.max(0, room[its]), hasCome(its, now - TO_QUEUE) - queued[its]);
      if (come[its] < needed[its]) next = Math.min(next, arrival(its, come[its]));
    }
    // Nothing moves before the next word comes.
    if (
      queued.every((count, its) => count === come[its] && (its !== lane || count === taken[its])) &&
      next > now
    )
      now = Math.max(now, next + TO_QUEUE - 1);
  }
}
