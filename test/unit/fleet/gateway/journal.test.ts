import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bus, InProcessBroker } from '../../../../bus/index.js';
import { declareStores } from '../../../../fleet/gateway/declare-stores.js';
import { Journal } from '../../../../fleet/gateway/journal.js';
import type { LeftRequest } from '../../../../fleet/gateway/left-requests.js';
import { silentLog } from '../../../../listen/index.js';
import { TestClock } from '../../protocol/test-clock.js';
import { ID, PARAMS } from '../request-params.js';

const OVERLOADED = { code: 'LLM_OVERLOADED', message: 'too many', context: {} };
/** The next mark is due within it. */
const MARKS_MS = 11_000;

let broker: InProcessBroker;
let clock: TestClock;
let opened: Journal[];
beforeEach(async () => {
  broker = new InProcessBroker();
  clock = new TestClock();
  opened = [];
  await declareStores(broker.connect());
});
afterEach(() => {
  for (const journal of opened) journal.close();
});

/** A gateway's journal, and what it read. */
async function lead(term: number, bus: Bus = broker.connect()) {
  const journal = await Journal.open({ bus, clock, log: silentLog, term, leads: () => true });
  opened.push(journal);
  const left: LeftRequest[] = [];
  await journal.read(AbortSignal.timeout(10_000), { onLeft: (one) => left.push(one), onEntry: () => {} });
  return { journal, left };
}

/** Lets time pass, and what it leads to be written. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Whose log tells a writer late that it has stored what was appended. */
function slow(bus: Bus): { readonly bus: Bus; readonly tell: () => void } {
  let tell = () => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const log = (name: string) => {
    const inner = bus.log(name);
    const append: typeof inner.append = async (subject, ...more) => {
      const stored = await inner.append(subject, ...more);
      if (subject.startsWith('req.')) await told;
      return stored;
    };
    return { append, read: inner.read.bind(inner) };
  };
  const wrapped = new Proxy(bus, {
    get: (target, name) => {
      const value: unknown = name === 'log' ? log : Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { bus: wrapped, tell };
}

describe('the next gateway knows a request', () => {
  it('that was stored long before its gateway heard of it', async () => {
    const { bus, tell } = slow(broker.connect());
    const { journal } = await lead(1, bus);
    const begun = journal.begin({ client: ['one'], params: PARAMS });
    await pass(MARKS_MS);
    tell();
    await begun;
    expect((await lead(2)).left).toMatchObject([{ requested: { params: PARAMS } }]);
  });

  it('that has the id of one which was refused, also when that one is forgotten', async () => {
    const { journal } = await lead(1);
    await journal.begin({ client: ['one'], params: PARAMS });
    journal.end(ID, { type: 'failed', error: OVERLOADED });
    await journal.begin({ client: ['one'], params: PARAMS });
    await pass(30_000 + MARKS_MS);
    expect((await lead(2)).left).toMatchObject([{ requested: { params: PARAMS }, over: undefined }]);
  });

  it('but none that ended long ago', async () => {
    const { journal } = await lead(1);
    await journal.begin({ client: ['one'], params: PARAMS });
    journal.end(ID, { type: 'failed', error: OVERLOADED });
    await pass(30_000 + MARKS_MS);
    expect((await lead(2)).left).toEqual([]);
  });
});
