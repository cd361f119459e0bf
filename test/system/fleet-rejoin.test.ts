import { expect, it } from 'vitest';
import { z } from 'zod';
import { openEmbedded } from '../../agent/in-process.js';
import { type Bus, InProcessBroker, type KeyValue } from '../../bus/index.js';
import { Member } from '../../fleet/index.js';
import { loadBegun, pack, readRecord, unpack } from '../../fleet/messages.js';
import { BOARDS, callsOf } from '../../fleet/subjects.js';
import { silentLog } from '../../listen/index.js';
import { temporaryDirectory } from './support/agent.js';

const NAME = 'one';
const UNKNOWN = '0'.repeat(64);
const boardAnswer = z.object({ result: z.unknown() });

/** A bus on which leases can be held up: what is written to them takes until it is opened again. */
class Gate {
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => {};
  /** Leases that wait, as they would be written. */
  readonly waiting: string[] = [];

  close(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }
  open(): void {
    this.#open();
  }

  wrap(bus: Bus): Bus {
    const update = async (bucket: KeyValue, ...args: Parameters<KeyValue['update']>) => {
      const [, value] = args;
      this.waiting.push(Buffer.from(value).toString());
      await this.#opened;
      return bucket.update(...args);
    };
    const gated = (bucket: KeyValue): KeyValue =>
      new Proxy(bucket, {
        get: (one, property) => {
          if (property === 'update') return (...args: Parameters<KeyValue['update']>) => update(one, ...args);
          const value = Reflect.get(one, property);
          return typeof value === 'function' ? value.bind(one) : value;
        },
      });
    return new Proxy(bus, {
      get: (one, property) => {
        if (property === 'bucket') return (name: string) => gated(one.bucket(name));
        const value = Reflect.get(one, property);
        return typeof value === 'function' ? value.bind(one) : value;
      },
    });
  }
}

it('tells what has changed on a board while it waited for its lease', async () => {
  using folder = temporaryDirectory();
  const broker = new InProcessBroker();
  const gateway = broker.connect('gateway');
  await gateway.declareBucket({ name: BOARDS, maxBytes: 0 });
  const agent = await openEmbedded({ device: 'mock:', storeDir: folder.path, threads: 1 });
  const gate = new Gate();
  try {
    const bus = gate.wrap(broker.connect(NAME));
    await using member = await Member.join({ bus, name: NAME, agent, log: silentLog, leaseMs: 300 });
    const leaseNow = async () => {
      const entry = await gateway.bucket(BOARDS).get(member.name);
      const { owner, value } = JSON.parse(Buffer.from(entry?.value ?? []).toString());
      return { owner, models: readRecord(value, member.name).models };
    };
    // A member that leaves gives its lease back, whatever this test finds.
    using _opened = { [Symbol.dispose]: () => gate.open() };
    const { owner } = await leaseNow();
    gate.close();
    // It has lost the lease, and asks for the next one.
    await expect
      .poll(() => gate.waiting.some((lease) => JSON.parse(lease).owner !== owner), { timeout: 30_000 })
      .toBe(true);
    const load = async () => {
      const question = pack({ term: 1, method: 'fleet.load', params: { model: UNKNOWN } });
      const answer = unpack(
        boardAnswer,
        await gateway.request(callsOf(NAME), question, { timeoutMs: 30_000 }),
        'The answer',
      );
      return loadBegun.parse(answer.result).attempt;
    };
    await load();
    // The first attempt has failed: nobody has this model.
    await expect.poll(load, { timeout: 30_000 }).toBeGreaterThan(1);
    gate.open();
    await expect
      .poll(async () => (await leaseNow()).models, { timeout: 30_000 })
      .toMatchObject([{ digest: UNKNOWN }]);
    expect((await leaseNow()).owner).not.toBe(owner);
  } finally {
    await agent.close();
  }
});
