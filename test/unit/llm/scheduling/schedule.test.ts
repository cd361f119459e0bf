import { describe, expect, it } from 'vitest';
import {
  type ClientAccount,
  EndRate,
  type SequenceView,
  type Snapshot,
  schedule,
  type Turn,
} from '../../../../llm/scheduling/index.js';
import { snapshot, type ViewRest, view, waiting } from './views.js';

const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));
const columnsOf = (plan: ReturnType<typeof schedule>, id: number) =>
  plan.shares.find((share) => share.id === id)?.columns ?? 0;

describe('with steps under way', () => {
  const busy = (id: number, rest: ViewRest = {}) => view(id, { underWay: 'waits', left: 0, ...rest });

  it('those of them that generate have no column, and sequences are divided among the steps', () => {
    const all = times(6, (id) => (id < 2 ? busy(id) : view(id)));
    const { shares } = schedule(snapshot(all, { stepsUnderWay: 3 }));
    expect(shares.map(({ id }) => id)).toEqual([2, 3]);
    expect(schedule(snapshot(times(3, (id) => busy(id)))).shares).toEqual([]);
  });

  it('a prompt may have its next piece, and others wait for the page that it computes', () => {
    const going = { generates: false, left: 40, page: 7 };
    const one = (underWay: 'goes on' | 'waits') => [
      view(0, { ...going, underWay }),
      waiting(1, 60, { page: 7 }),
      waiting(2, 10),
    ];
    expect(columnsOf(schedule(snapshot(one('goes on'))), 0)).toBeGreaterThan(0);
    for (const underWay of ['goes on', 'waits'] as const) {
      const plan = schedule(snapshot(one(underWay)));
      expect([columnsOf(plan, 1), columnsOf(plan, 2)]).toEqual([0, 10]);
    }
  });

  it('nobody takes their memory, however late their claim', () => {
    const late = { class: 'batch', pages: 4, arrivedAt: 9 } as const;
    const foremost = waiting(1, 16, { priority: 9 });
    expect(schedule(snapshot([busy(0, late), foremost], { freePages: 0 })).preempted).toEqual([]);
    expect(schedule(snapshot([view(0, late), foremost], { freePages: 0 })).preempted).toEqual([0]);
  });
});

describe('columns of a step', () => {
  it('every sequence that generates has one, and comes before the prompts', () => {
    const { shares } = schedule(snapshot([view(0, { left: 100, generates: false }), view(1), view(2)]));
    expect(shares.map(({ id }) => id)).toEqual([1, 2, 0]);
    expect(shares.slice(0, 2).map(({ columns }) => columns)).toEqual([1, 1]);
  });

  it('a prompt alone has as many as pay', () => {
    const plan = schedule(snapshot([waiting(0, 100)]));
    expect(plan).toMatchObject({ admitted: [0], shares: [{ id: 0, columns: 64 }] });
  });

  it('beside somebody who watches, prompts are cut to a step of three times the cost', () => {
    const { shares } = schedule(snapshot([view(0), waiting(1, 100)]));
    expect(shares).toEqual([
      { id: 0, columns: 1 },
      { id: 1, columns: 30 },
    ]);
  });

  it('batch work that generates does not cut anybody’s prompts', () => {
    const plan = schedule(snapshot([view(0, { class: 'batch' }), waiting(1, 100)]));
    expect(columnsOf(plan, 1)).toBe(63);
  });

  it('go to drafts where no prompt of the class wants them', () => {
    const drafting = view(0, { drafts: 5 });
    expect(columnsOf(schedule(snapshot([drafting])), 0)).toBe(6);
    const beside = schedule(snapshot([drafting, waiting(1, 100)]));
    expect(columnsOf(beside, 0)).toBe(1);
  });

  it('with more sequences than columns those go first that waited longest', () => {
    const sequences = times(5, (id) => view(id, { servedAt: [30, 10, 40, 20, 50][id] }));
    const { shares } = schedule(snapshot(sequences, { maxColumns: 2, now: 60 }));
    expect(shares.map(({ id }) => id).sort()).toEqual([1, 3]);
  });

  it('none go to a client that reads nothing', () => {
    const plan = schedule(snapshot([view(0, { hasCredit: false }), waiting(1, 4, { hasCredit: false })]));
    expect(plan).toMatchObject({ admitted: [], shares: [] });
  });
});

describe('an interactive request under a full load of batch work', () => {
  const load = [
    ...times(8, (id) => view(id, { class: 'batch' })),
    ...times(50, (i) => waiting(100 + i, 500, { class: 'batch' })),
  ];

  it('begins in the next step, with all columns but the share that batch work always has', () => {
    const plan = schedule(snapshot([...load, waiting(9, 300)]));
    expect(plan.admitted).toContain(9);
    expect(columnsOf(plan, 9)).toBe(63);
    expect(plan.shares.filter(({ id }) => id < 8)).toHaveLength(1);
  });

  it('takes memory from it where there is none', () => {
    const full = load.map((one) => ({ ...one, pages: one.state === 'running' ? 20 : 0 }));
    const plan = schedule(snapshot([...full, waiting(9, 300)], { freePages: 8 }));
    expect(plan.admitted).toEqual([9]);
    expect(plan.preempted).toEqual([7]);
  });
});

describe('a prompt that is longer than windows', () => {
  const prompt = waiting(1, 1600);
  // Of a hundred pages all keep a fifth, and ten the rest.
  const windowed = { share: 0.8, pages: 10 };

  it('begins beside others where there is room for what it keeps in the end', () => {
    const others = [view(0)];
    expect(schedule(snapshot([...others, prompt], { freePages: 40 })).admitted).toEqual([]);
    expect(schedule(snapshot([...others, prompt], { freePages: 40, windowed })).admitted).toEqual([1]);
    // A page for each that runs, a hundred fifths and ten times the rest.
    expect(schedule(snapshot([...others, prompt], { freePages: 29, windowed })).admitted).toEqual([1]);
    expect(schedule(snapshot([...others, prompt], { freePages: 28, windowed })).admitted).toEqual([]);
  });
});

describe('prompts that need the same page next', () => {
  const same = (id: number, rest: ViewRest = {}) =>
    view(id, { left: 100, generates: false, page: 7, servedAt: id, ...rest });
  const shares = (sequences: SequenceView[], rest = {}) =>
    schedule(snapshot(sequences, { now: 10, ...rest })).shares.map(({ id, columns }) => [id, columns]);

  it('wait for the first of them, which has all columns', () => {
    expect(shares([same(0), same(1), same(2), view(3)])).toEqual([
      [3, 1],
      [0, 30],
    ]);
    expect(shares([same(0), same(1, { page: 8 })])).toHaveLength(2);
  });

  it('are computed for an interactive request rather than for batch work', () => {
    expect(shares([same(0, { class: 'batch' }), same(1)])).toEqual([[1, 64]]);
  });

  it('wait for nobody who has no memory', () => {
    const [first, second] = [same(0, { priority: 0, left: 1 }), same(1, { room: 9, pages: 5, left: 2 })];
    expect(shares([first, second, same(2, { room: 9, left: 2 })], { freePages: 0 })).toEqual([[1, 2]]);
  });
});

describe('batch work', () => {
  describe('where interactive requests fill the memory', () => {
    const chats = times(4, (id) => view(id, { arrivedAt: id, pages: 5, room: 8 }));
    const batch = [4, 5].map((id) => waiting(id, 40, { class: 'batch', arrivedAt: id }));
    const at = (now: number, sequences: SequenceView[], rest: Partial<Snapshot> = {}) =>
      schedule(snapshot(sequences, { now, freePages: 4, ...rest, limits: {} }));
    /** The first of it runs, beside an interactive request that does not fit. */
    const beside = (now: number, turn: Turn | undefined, rest: ViewRest = {}) => {
      const running = { class: 'batch', arrivedAt: 4, pages: 9, ...rest } as const;
      return at(now, [...chats, view(4, running), batch[1]!, waiting(6, 100, { arrivedAt: now })], { turn });
    };

    it('gets some when it has had no column for long, the foremost of it', () => {
      expect(at(20_000, [...chats, ...batch])).toMatchObject({ admitted: [], preempted: [] });
      const given = at(40_000, [...chats, ...batch]);
      expect(given).toMatchObject({ admitted: [4], preempted: [3], turn: { id: 4, at: 40_000 } });
      expect(at(40_000, [...chats, ...batch], { batchServedAt: 20_000 }).admitted).toEqual([]);
    });

    it('keeps it for a turn, and until it has a token', () => {
      const turn = { id: 4, at: 34_000, generatesAt: 36_000 };
      expect(beside(43_999, turn)).toMatchObject({ admitted: [], preempted: [], turn });
      const after = beside(44_000, turn);
      expect(after).toMatchObject({ admitted: [6], preempted: [4] });
      expect(after.turn).toBeUndefined();
      // As long again as its prompt took.
      expect(beside(48_000, { ...turn, generatesAt: 43_000 })).toMatchObject({ preempted: [] });
      const computes = beside(90_000, { id: 4, at: 34_000 }, { left: 400, generates: false });
      expect(computes).toMatchObject({ admitted: [], preempted: [], turn: { id: 4, at: 34_000 } });
      expect(columnsOf(computes, 4)).toBeGreaterThan(20);
    });

    it('makes room at once where it is not its turn', () => {
      expect(beside(34_000, undefined)).toMatchObject({ admitted: [6], preempted: [4] });
    });

    it('has it back before other batch work that is shorter', () => {
      const before = waiting(7, 60, { class: 'batch', begun: true, servedAt: 10_000, arrivedAt: 9 });
      const plan = schedule(
        snapshot([...batch, before], { now: 20_000, freePages: 5, batchServedAt: 10_000 }),
      );
      expect(plan.admitted).toEqual([7]);
    });
  });

  it('keeps one place and a column now and then, whatever interactive requests there are', () => {
    const client = 'a';
    const interactive = times(7, (id) => view(id, { client, left: 400, generates: false }));
    const waits = times(20, (i) => waiting(50 + i, 400, { client }));
    const plan = schedule(snapshot([...interactive, ...waits, waiting(99, 400, { class: 'batch' })]));
    expect(plan.admitted).toEqual([99]);
    expect(columnsOf(plan, 99)).toBe(1);
    const soon = snapshot([...interactive, view(99, { class: 'batch' })], { columnsSinceBatch: 90 });
    expect(columnsOf(schedule(soon), 99)).toBe(0);
  });

  it('has every place where nobody else wants one', () => {
    const plan = schedule(snapshot(times(20, (id) => waiting(id, 10, { class: 'batch' }))));
    expect(plan.admitted).toHaveLength(8);
  });
});

describe('of one class', () => {
  const first = (sequences: SequenceView[], clients?: ReadonlyMap<string, ClientAccount>, now = 0) =>
    schedule(snapshot(sequences, { limits: { maxSequences: 1 }, now, ...(clients && { clients }) }))
      .admitted[0];

  it('short prompts go ahead of long ones', () => {
    expect(first([waiting(0, 500), waiting(1, 20)])).toBe(1);
  });

  it('a higher priority goes ahead of a shorter prompt', () => {
    expect(first([waiting(0, 500, { priority: 6 }), waiting(1, 20)])).toBe(0);
  });

  it('what has waited long goes ahead of a higher priority of the same client', () => {
    const old = waiting(0, 500, { priority: 0, client: 'a' });
    const fresh = (now: number) => waiting(1, 20, { priority: 9, client: 'a', arrivedAt: now });
    expect(first([old, fresh(40_000)], undefined, 40_000)).toBe(1);
    expect(first([old, fresh(50_000)], undefined, 50_000)).toBe(0);
  });

  it('what has waited long goes ahead of a higher priority of a client that had more', () => {
    const sequences = (now: number) => [
      waiting(0, 500, { priority: 0, client: 'low' }),
      waiting(1, 20, { priority: 9, client: 'high', arrivedAt: now }),
    ];
    const clients = new Map([
      ['low', { virtualTime: 10, weight: 1, servedAt: 0 }],
      ['high', { virtualTime: 500, weight: 1, servedAt: 0 }],
    ]);
    expect(first(sequences(40_000), clients, 40_000)).toBe(1);
    expect(first(sequences(50_000), clients, 50_000)).toBe(0);
  });

  it('a deadline that comes near goes ahead', () => {
    const due = waiting(1, 500, { deadlineAt: 2_000 });
    expect(first([waiting(0, 20), due], undefined, 500)).toBe(0);
    expect(first([waiting(0, 20), due], undefined, 1_500)).toBe(1);
  });

  it('the client that had less for its weight goes first', () => {
    const account = (virtualTime: number) => ({ virtualTime, weight: 1, servedAt: 0 });
    const clients = new Map([
      ['much', account(900)],
      ['little', account(100)],
    ]);
    expect(first([waiting(0, 20, { client: 'much' }), waiting(1, 500, { client: 'little' })], clients)).toBe(
      1,
    );
  });

  const clientsWith = (...virtualTimes: number[]) =>
    new Map(
      virtualTimes.map(
        (virtualTime, id) => [`client ${id}`, { virtualTime, weight: 1, servedAt: 0 }] as const,
      ),
    );

  it('a prompt goes ahead of a longer one of a client that had a little less, until that one has waited long', () => {
    const at = (now: number) =>
      first([waiting(0, 500), waiting(1, 20, { arrivedAt: now })], clientsWith(100, 500), now);
    expect(at(10_000)).toBe(1);
    expect(at(25_000)).toBe(0);
    expect(first([waiting(0, 500), waiting(1, 20)], clientsWith(100, 600))).toBe(0);
  });

  it('who has had nothing for half of the longest wait goes ahead of everybody who had about as much, the longest first', () => {
    const urgent = (now: number) =>
      waiting(2, 5, { priority: 9, arrivedAt: now - 60, deadlineAt: now + 40, client: 'client 2' });
    const old = [waiting(0, 500, { priority: 0, arrivedAt: 1_000 }), waiting(1, 20)];
    const at = (now: number) => first([...old, urgent(now)], clientsWith(500, 900, 0), now);
    expect(at(60_000)).toBe(2);
    expect(at(60_001)).toBe(1);
    expect(first([old[0]!, urgent(61_001)], clientsWith(500, 900, 0), 61_001)).toBe(0);
  });

  it('a client that had far more goes behind, whatever its priority, its deadline and its wait', () => {
    const urgent = waiting(0, 5, { priority: 9, deadlineAt: 70_000 });
    const modest = waiting(1, 500, { priority: 0, arrivedAt: 60_999 });
    expect(first([urgent, modest], clientsWith(1_000, 0), 61_000)).toBe(0);
    expect(first([urgent, modest], clientsWith(1_100, 0), 61_000)).toBe(1);
  });

  it('names divide the turns of those before them, and get no more of them', () => {
    const of = (id: number, ...client: string[]) => waiting(id, 20, { client, arrivedAt: id });
    const sequences = [of(0, 'a', 'x'), of(1, 'a', 'y'), of(2, 'a', 'z'), of(3, 'b'), of(4, 'b')];
    const limits = { maxSequences: 1 };
    const begins = (clients: ReadonlyMap<string, ClientAccount>) =>
      schedule(snapshot(sequences, { limits, clients, now: 10 })).admitted[0];
    const account = (virtualTime: number, inside?: ReadonlyMap<string, ClientAccount>) => ({
      ...{ virtualTime, weight: 1, servedAt: 0, inside },
    });
    const inside = new Map([
      ['x', account(90)],
      ['y', account(70)],
      ['z', account(80)],
    ]);
    const shares = (a: number, b: number) =>
      new Map([
        ['a', account(a, inside)],
        ['b', account(b)],
      ]);
    expect(begins(shares(100, 60))).toBe(3);
    expect(begins(shares(60, 100))).toBe(1);
  });

  it('a long queue of one client does not age past another client’s request', () => {
    const queue = times(30, (id) => waiting(id, 20, { client: 'greedy', arrivedAt: 0 }));
    const clients = new Map([
      ['greedy', { virtualTime: 5_000, weight: 1, servedAt: 59_000 }],
      ['new', { virtualTime: 5_000, weight: 1, servedAt: 0 }],
    ]);
    const other = waiting(99, 20, { client: 'new', arrivedAt: 59_500 });
    expect(first([...queue, other], clients, 60_000)).not.toBe(99);
    clients.set('greedy', { virtualTime: 5_021, weight: 1, servedAt: 59_000 });
    expect(first([...queue, other], clients, 60_000)).toBe(99);
  });
});

it('a client with less than its part of the places begins although another has every place', () => {
  const places = times(8, (id) => view(id, { client: 'greedy' }));
  const others = times(6, (i) => waiting(30 + i, 300, { client: 'modest' }));
  const { admitted } = schedule(snapshot([...places, waiting(20, 10, { client: 'greedy' }), ...others]));
  expect(admitted).toEqual([30, 31, 32, 33]);
});

it('names divide the places of those before them', () => {
  const greedy = times(8, (id) => view(id, { client: ['a', `x${id}`] }));
  const more = times(8, (i) => waiting(10 + i, 10, { client: ['a', `y${i}`] }));
  const modest = times(3, (i) => waiting(30 + i, 300, { client: ['b', `z${i}`] }));
  expect(schedule(snapshot([...greedy, ...more])).admitted).toEqual([]);
  expect(schedule(snapshot([...greedy, ...more, ...modest])).admitted).toEqual([30, 31, 32]);
  const alone = times(8, (id) => view(id, { client: ['a', 'x'] }));
  expect(schedule(snapshot([...alone, waiting(40, 10, { client: ['a', 'y'] })])).admitted).toEqual([40]);
});

it('a client that had far more does not begin beyond the places while others wait', () => {
  const places = times(8, (id) => view(id, { client: 'modest' }));
  const sequences = [...places, waiting(20, 10, { client: 'greedy' }), waiting(21, 10, { client: 'modest' })];
  const account = (virtualTime: number) => ({ virtualTime, weight: 1, servedAt: 0 });
  const admitted = (greedy: number) => {
    const clients = new Map([
      ['greedy', account(greedy)],
      ['modest', account(0)],
    ]);
    return schedule(snapshot(sequences, { clients })).admitted;
  };
  expect(admitted(1_000)).toEqual([20]);
  expect(admitted(1_100)).toEqual([]);
});

describe('where memory is short', () => {
  it('the last claim gives way: lower priority first, then the later arrival', () => {
    const sequences = [
      view(0, { priority: 9, arrivedAt: 3, room: 0 }),
      view(1, { arrivedAt: 1, pages: 4 }),
      view(2, { arrivedAt: 2, pages: 4 }),
    ];
    const plan = schedule(snapshot(sequences, { freePages: 1, now: 10 }));
    expect(plan.preempted).toEqual([2]);
    expect(plan.shares.map(({ id }) => id).sort()).toEqual([0, 1]);
  });

  it('who reads nothing gives way first, whatever its class', () => {
    const plan = schedule(
      snapshot([view(0, { class: 'batch' }), view(1, { hasCredit: false, pages: 9 })], { freePages: 0 }),
    );
    expect(plan).toMatchObject({ preempted: [1], shares: [{ id: 0, columns: 1 }] });
  });

  it('a step has only the columns of a prompt that there are pages for', () => {
    const plan = schedule(snapshot([view(0, { left: 60, generates: false, room: 4 })], { freePages: 2 }));
    expect(columnsOf(plan, 0)).toBe(36);
  });

  it('nobody begins whose prompt does not fit, and nobody later overtakes it for that', () => {
    const plan = schedule(
      snapshot([view(0, { room: 8 }), waiting(1, 40), waiting(2, 100, { client: 'client 1' })], {
        freePages: 3,
      }),
    );
    expect(plan.admitted).toEqual([]);
  });

  it('who is alone is let on: there is nobody to wait for', () => {
    const plan = schedule(snapshot([view(0)], { freePages: 0 }));
    expect(plan.shares).toEqual([{ id: 0, columns: 1 }]);
  });
});

describe('refusals', () => {
  it('the lowest class goes first, then the lowest priority, then the latest', () => {
    const sequences = [
      waiting(0, 1, { class: 'batch', priority: 9 }),
      waiting(1, 1, { priority: 4, arrivedAt: 1 }),
      waiting(2, 1, { priority: 4, arrivedAt: 2 }),
      waiting(3, 1, { arrivedAt: 3 }),
    ];
    const refused = (maxQueued: number) =>
      schedule(snapshot(sequences, { limits: { maxQueued } })).refused.map(({ id }) => id);
    expect(refused(3)).toEqual([0]);
    expect(refused(2)).toEqual([2, 0]);
    expect(refused(1)).toEqual([1, 2, 0]);
  });

  it('meet who has the most waiting, the last claim of it, and nobody’s only request', () => {
    const greedy = times(6, (i) => waiting(i, 1, { client: ['greedy', `name ${i}`], priority: 9 }));
    const modest = times(3, (i) => waiting(10 + i, 1, { priority: 0, arrivedAt: 5, class: 'batch' }));
    const refused = (maxQueued: number) =>
      schedule(snapshot([...greedy, ...modest], { limits: { maxQueued } })).refused.map(({ id }) => id);
    expect(refused(8)).toEqual([5]);
    expect(refused(5)).toEqual([2, 3, 4, 5]);
  });

  it('meet of one share who has the most of it', () => {
    const of = (id: number, name: string) => waiting(id, 1, { client: ['share', name], arrivedAt: id });
    const sequences = [of(0, 'a'), of(1, 'b'), of(2, 'b'), of(3, 'b'), of(4, 'c')];
    const { refused } = schedule(snapshot(sequences, { limits: { maxQueued: 4 } }));
    expect(refused.map(({ id }) => id)).toEqual([3]);
  });

  const places = times(8, (id) => view(id));
  const queue = times(5, (i) => waiting(20 + i, 1, { arrivedAt: i }));

  it('say when to ask again, by the rate at which requests end', () => {
    const limits = { maxQueued: 4 };
    const plan = schedule(snapshot([...places, ...queue], { limits, msPerRequest: 3_000 }));
    expect(plan.refused).toEqual([{ id: 24, retryAfterMs: 6_000 }]);
  });

  it('come at once where the wait would exceed what the class may wait', () => {
    const limits = { maxWaitMs: { interactive: 10_000, batch: 1_000_000 } };
    const plan = schedule(snapshot([...places, ...queue], { limits, msPerRequest: 4_000 }));
    expect(plan.refused.map(({ id }) => id)).toEqual([23, 24]);
  });

  it('count as ahead a request of each client in turn, not all that came before', () => {
    const greedy = times(30, (i) => waiting(20 + i, 1, { client: 'greedy', arrivedAt: i }));
    const modest = waiting(99, 900, { client: 'modest', arrivedAt: 40 });
    const limits = { maxWaitMs: { interactive: 40_000, batch: 1_000_000 } };
    const { refused } = schedule(
      snapshot([...places, ...greedy, modest], { now: 50, limits, msPerRequest: 4_000 }),
    );
    expect(refused.map(({ id }) => id)).toEqual(times(20, (i) => 30 + i));
    expect(refused[0]!.retryAfterMs).toBe(22_000);
  });

  it('meet nobody for those ahead who take free places', () => {
    const limits = { maxWaitMs: { interactive: 10_000, batch: 10_000 } };
    const refused = (running: readonly SequenceView[], waits: readonly SequenceView[]) =>
      schedule(snapshot([...running, ...waits], { limits, msPerRequest: 20_000 })).refused.map(
        ({ id }) => id,
      );
    const asBatch = (views: readonly SequenceView[]) =>
      views.map((one) => ({ ...one, class: 'batch' as const }));
    expect(refused(places.slice(4), queue)).toEqual([]);
    expect(refused(places.slice(3), queue)).toEqual([24]);
    expect(refused(asBatch(places), queue)).toEqual([]);
    expect(refused(places.slice(3), asBatch(queue))).toEqual([24]);
  });

  it('never meet what has begun, however long it waits for memory', () => {
    const old = waiting(0, 100, { begun: true, pages: 0 });
    const plan = schedule(snapshot([old], { now: 1e9, limits: { maxQueued: 1 } }));
    expect(plan).toMatchObject({ refused: [], admitted: [0] });
  });
});

describe('the rate at which requests end', () => {
  const seen = (rate: EndRate, ...ends: number[]) => {
    for (const at of ends) rate.end(at);
    return rate.msPerRequest;
  };

  it('is known from the second end on, about the latest ones', () => {
    const rate = new EndRate();
    rate.wait(true);
    expect(seen(rate, 0)).toBeUndefined();
    expect(seen(rate, 100)).toBe(100);
    expect(seen(rate, ...times(8, (i) => 100 + i))).toBeLessThan(30);
    expect(seen(rate, ...times(60, (i) => 200 + 50 * i))).toBeCloseTo(50, 0);
  });

  it('is forgotten when nobody waits, and the time without anybody is not a part of it', () => {
    const rate = new EndRate();
    rate.wait(true);
    seen(rate, 0, 100);
    rate.wait(false);
    expect(seen(rate, 200, 300)).toBeUndefined();
    rate.wait(true);
    expect(seen(rate, 3_600_000)).toBeUndefined();
    expect(seen(rate, 3_600_070)).toBe(70);
  });
});
