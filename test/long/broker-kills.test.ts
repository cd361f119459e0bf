import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Bus, connectNats, type KeyValue } from '../../bus/index.js';
import { noNatsServer, TestNatsServer } from '../system/support/nats-server.js';

const bytes = (text: string) => Buffer.from(text);
const text = (data: Uint8Array) => Buffer.from(data).toString();
const LIMITS = { maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 120_000 };
const wait = { timeoutMs: 60_000 };
const COUNT = 400;
const ACK_WAIT_MS = 2_000;

/** Each takes about as long as the kills do. */
const pace = () => delay(5);

it('does everything once though the broker is killed again and again', { timeout: 300_000 }, async ({
  skip,
}) => {
  if (noNatsServer) return skip(noNatsServer);
  await using server = await TestNatsServer.start();
  const buses: Bus[] = [];
  for (let i = 0; i < 4; i++) buses.push(await connectNats({ url: server.url }));
  const [writer, reader, one, two] = buses as [Bus, Bus, Bus, Bus];
  const ending = new AbortController();
  try {
    await writer.declareLog({ name: 'L', ...LIMITS });
    await writer.declareQueue({ name: 'Q', ...LIMITS, ackWaitMs: ACK_WAIT_MS, maxDeliveries: 1_000 });
    await writer.declareBucket({ name: 'B', maxBytes: 0 });
    await writer.queue('Q').openLane('any');
    await writer.bucket('B').put('n', bytes('0'));

    const read: string[] = [];
    const reading = (async () => {
      for await (const { id } of reader.log('L').read({ signal: ending.signal })) read.push(id);
    })();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const event of reader.bucket('B').watch({ signal: ending.signal }))
        if (event.kind === 'value') seen.push(Number(text(event.value)));
    })();
    const done = new Map<string, number>();
    const pulling = [one, two].map(async (bus) => {
      while (!ending.signal.aborted) {
        const delivery = await bus.queue('Q').pull('any', { waitMs: 30_000, signal: ending.signal });
        if (!delivery) continue;
        done.set(delivery.id, (done.get(delivery.id) ?? 0) + 1);
        await delivery.ack(wait);
      }
    });
    const faults: unknown[] = [];
    for (const one of pulling) one.catch((error: unknown) => faults.push(error));
    const appending = (async () => {
      for (let i = 0; i < COUNT; i++, await pace())
        await writer.log('L').append('t', String(i), bytes('x'), wait);
    })();
    const putting = (async () => {
      for (let i = 0; i < COUNT; i++, await pace())
        await writer.queue('Q').put('any', String(i), bytes('x'), wait);
    })();
    // What is sent again must not be its own rival, and not be counted twice.
    const count = async (bucket: KeyValue) => {
      for (let added = 0; added < COUNT / 4; ) {
        const { value, revision } = (await bucket.get('n', wait))!;
        if (await bucket.update('n', bytes(String(Number(text(value)) + 1)), revision, wait)) added++;
        await pace();
      }
    };
    const work = Promise.all([appending, putting, count(one.bucket('B')), count(two.bucket('B'))]);
    let kills = 0;
    let over = false;
    void work.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    while (!over || kills < 5) {
      await delay(150 + Math.random() * 400);
      await server.kill();
      kills++;
      await delay(Math.random() * 200);
      await server.run();
    }
    await work;
    await expect.poll(() => read.length, { timeout: 30_000 }).toBe(COUNT);
    expect(read).toEqual(Array.from({ length: COUNT }, (_, i) => String(i)));
    expect(text((await writer.bucket('B').get('n', wait))!.value)).toBe(String(COUNT / 2));
    await expect.poll(() => seen.at(-1), { timeout: 30_000 }).toBe(COUNT / 2);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    await expect.poll(() => [...faults, done.size], { timeout: 60_000 }).toEqual([COUNT]);
    // Now and then nats-server 2.9.10 keeps messages, killed between their acknowledgement and their removal: then nobody gets them any more.
    const deliveries = () => [...done.values()].reduce((sum, n) => sum + n, 0);
    for (let before = -1; before !== deliveries(); await delay(2 * ACK_WAIT_MS)) before = deliveries();
    for (const { id } of await writer.queue('Q').list('any', wait)) expect(done.has(id)).toBe(true);
    ending.abort();
    await Promise.all([reading, watching, ...pulling]);
    console.log(`${kills} kills, ${deliveries()} deliveries of ${COUNT}`);
  } finally {
    ending.abort();
    for (const bus of buses) await bus.close();
  }
});
