import { type BoardView, type Link, release, type Waiting } from '../../fleet/index.js';
import { Ports } from './ports.js';
import { VirtualClock } from './virtual-clock.js';

/** A request on its way to a board, and a token's message to the gateway. */
const REQUEST_BYTES = 4_096;
const TOKEN_BYTES = 256;

/**
 * Generates so many answers at once, each on one board, which the gateway chooses; tokens go back to it one by one. Prompts of one
 * token: what is measured is generating.
 * @param stepMs of a board by its columns
 * @returns milliseconds until the gateway has the last token
 */
export function answersMs(
  stepMs: readonly ((columns: number) => number)[],
  link: Link,
  {
    sequences,
    places,
    tokens,
  }: { readonly sequences: number; readonly places: number; readonly tokens: number },
): number {
  const clock = new VirtualClock();
  const gateway = stepMs.length;
  const ports = new Ports(clock, link, stepMs.length + 1);
  const boards = stepMs.map(
    (of, i): BoardView => ({
      name: String(i),
      stepMs: (columns) => of(columns),
      promptColumns: places,
      places,
      isDraining: false,
      work: [],
    }),
  );
  const waiting = Array.from(
    { length: sequences },
    (_, id): Waiting => ({
      id,
      promptTokens: 1,
      expectedTokens: tokens,
      found: () => 0,
    }),
  );
  const lefts = stepMs.map((): number[] => []);
  const busy = stepMs.map(() => false);
  let last = 0;
  const step = (board: number) => {
    if (busy[board] || lefts[board]!.length === 0) return;
    busy[board] = true;
    const running = lefts[board]!;
    const count = running.length;
    clock.set(clock.now + stepMs[board]!(count), () => {
      busy[board] = false;
      lefts[board] = running.map((left, i) => (i < count ? left - 1 : left)).filter((left) => left > 0);
      for (let i = 0; i < count; i++)
        ports.send(board, gateway, TOKEN_BYTES, () => {
          last = clock.now;
        });
      step(board);
    });
  };
  for (const { board } of release(waiting, boards).released)
    ports.send(gateway, Number(board), REQUEST_BYTES, () => {
      lefts[Number(board)]!.push(tokens);
      step(Number(board));
    });
  clock.run();
  return last;
}
