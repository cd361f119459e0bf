import { expect, it, vi } from 'vitest';
import { InProcessBroker } from '../../../../bus/index.js';
import { BoardPages } from '../../../../fleet/gateway/board-pages.js';
import type { Boards, FleetBoard } from '../../../../fleet/gateway/boards.js';
import type { Calls } from '../../../../fleet/gateway/calls.js';
import { MAX_PAGE_CHANGES, pack } from '../../../../fleet/messages.js';
import { pagesOf } from '../../../../fleet/subjects.js';
import { silentLog } from '../../../../listen/index.js';
import { MAX_HELD_PAGES, systemClock } from '../../../../protocol/index.js';

const MODEL = 'a'.repeat(64);
const INDEX = '0'.repeat(16);

/** A board that has a model, or none, and tells of pages whatever it likes. */
function world() {
  const bus = new InProcessBroker().connect();
  const boardOf = (models: readonly object[]) =>
    ({ name: 'one', owner: 'owner', record: { models } }) as unknown as FleetBoard;
  const board = boardOf([{ digest: MODEL, state: 'loaded', attempt: 1 }]);
  const boards = { get: () => board } as unknown as Boards;
  const calls = {
    ask: () => Promise.resolve({ index: INDEX, version: 0, isWhole: true, added: [], removed: [] }),
  } as unknown as Calls;
  const pages = new BoardPages({ bus, boards, calls, clock: systemClock, log: silentLog });
  return { bus, board, without: boardOf([]), pages };
}

it('keeps no more pages of a board than any engine has', async () => {
  const { bus, board, pages } = world();
  pages.boardChanged(board);
  await Promise.resolve();
  const messages = MAX_HELD_PAGES / MAX_PAGE_CHANGES + 2;
  for (let version = 1; version <= messages; version++) {
    const added = Array.from({ length: MAX_PAGE_CHANGES }, (_, i) => version * MAX_PAGE_CHANGES + i);
    const news = { model: MODEL, index: INDEX, from: version - 1, version, added, removed: [] };
    bus.publish(pagesOf('one'), pack(news));
    const before = pages.countOf('owner');
    await vi.waitFor(() => expect(pages.countOf('owner')).not.toBe(before));
    expect(pages.countOf('owner')).toBeLessThanOrEqual(MAX_HELD_PAGES);
  }
  pages.close();
  await bus.close();
});

it('forgets the pages of a model that a board has no more', async () => {
  const { bus, board, without, pages } = world();
  pages.boardChanged(board);
  await Promise.resolve();
  bus.publish(
    pagesOf('one'),
    pack({ model: MODEL, index: INDEX, from: 0, version: 1, added: [1, 2], removed: [] }),
  );
  await vi.waitFor(() => expect(pages.countOf('owner')).toBe(2));
  pages.boardChanged(without);
  expect(pages.countOf('owner')).toBe(0);
  pages.close();
  await bus.close();
});
