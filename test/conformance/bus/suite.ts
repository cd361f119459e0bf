import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Bus,
  type Delivery,
  type KeyValue,
  type Lease,
  type LeaseEvent,
  type QueueConfig,
  takeLease,
  watchLeases,
} from '../../../bus/index.js';
import { type ErrorCodeName, PynqLlmError } from '../../../errors/index.js';

/** A broker to be tested, and how to connect to it. */
export interface BusUnderTest {
  connect(): Promise<Bus>;
  close(): Promise<void>;
}

const bytes = (text: string) => Buffer.from(text);
const text = (data: Uint8Array) => Buffer.from(data).toString();
const LIMITS = { maxAgeMs: 60_000, maxBytes: 0, duplicateWindowMs: 30_000 };

async function fails(work: Promise<unknown> | (() => unknown), code: ErrorCodeName): Promise<PynqLlmError> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    expect(error).toBeInstanceOf(PynqLlmError);
    expect((error as PynqLlmError).code).toBe(code);
    return error as PynqLlmError;
  }
  throw new Error(`${code} was expected`);
}
async function take<T>(from: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of from) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

/** What every broker has to do. */
export function busSuite(name: string, start: () => Promise<BusUnderTest>): void {
  describe(`conformance of the bus: ${name}`, { timeout: 60_000 }, () => {
    let broker: BusUnderTest;
    let bus: Bus;
    const others: Bus[] = [];
    let counter = 0;
    const fresh = () => `T${counter++}`;
    const connect = async () => {
      const other = await broker.connect();
      others.push(other);
      return other;
    };
    beforeAll(async () => {
      broker = await start();
      bus = await broker.connect();
    });
    afterEach(async () => {
      for (const other of others.splice(0)) await other.close();
    });
    afterAll(async () => {
      await bus?.close();
      await broker?.close();
    });

    describe('subjects', () => {
      it('reach those who listen, in order, by pattern', async () => {
        const other = await connect();
        const heard: string[] = [];
        const one = other.subscribe(
          'a.*.c',
          ({ subject, data }) => void heard.push(`${subject} ${text(data)}`),
        );
        const all = other.subscribe('a.>', () => void heard.push('>'));
        await Promise.all([one.ready, all.ready]);
        for (const i of [1, 2, 3]) bus.publish('a.b.c', bytes(String(i)));
        bus.publish('a.b.c.d', bytes('deeper'));
        bus.publish('a', bytes('higher'));
        await expect.poll(() => heard.length).toBe(7);
        expect(heard.filter((entry) => entry !== '>')).toEqual(['a.b.c 1', 'a.b.c 2', 'a.b.c 3']);
        one.close();
        bus.publish('a.b.c', bytes('4'));
        await expect.poll(() => heard.length).toBe(8);
        expect(heard.at(-1)).toBe('>');
      });

      it('give each message to one of a group', async () => {
        const heard: number[] = [];
        const group = 'workers';
        for (const member of [0, 1]) {
          const other = await connect();
          await other.subscribe('grouped', () => void heard.push(member), { group }).ready;
        }
        for (let i = 0; i < 40; i++) bus.publish('grouped', bytes('x'));
        await expect.poll(() => heard.length).toBe(40);
        await delay(50);
        expect(heard.length).toBe(40);
        expect(new Set(heard).size).toBe(2);
      });

      it('hand over one message after the other, and drop what finds no room', async () => {
        const other = await connect();
        const heard: string[] = [];
        let running = 0;
        let open = () => {};
        const gate = new Promise<void>((resolve) => {
          open = resolve;
        });
        const subscription = other.subscribe(
          'slow',
          async ({ data }) => {
            expect(++running).toBe(1);
            await gate;
            heard.push(text(data));
            running--;
          },
          { limits: { messages: 3 } },
        );
        await subscription.ready;
        for (let i = 0; i < 10; i++) bus.publish('slow', bytes(String(i)));
        await expect.poll(() => subscription.dropped).toBe(6);
        open();
        await expect.poll(() => heard).toEqual(['0', '1', '2', '3']);
      });

      it("go on after a handler's error, and tell it", async () => {
        const other = await connect();
        const errors: unknown[] = [];
        const heard: string[] = [];
        const subscription = other.subscribe(
          'throwing',
          ({ data }) => {
            heard.push(text(data));
            if (text(data) === '1') throw new Error('as asked');
          },
          { onError: (error) => errors.push(error) },
        );
        await subscription.ready;
        bus.publish('throwing', bytes('1'));
        bus.publish('throwing', bytes('2'));
        await expect.poll(() => heard).toEqual(['1', '2']);
        expect(errors.map(String)).toEqual(['Error: as asked']);
      });

      it.each(['', 'a b', 'a..b', '.a', 'a.', 'a\r\nPUB b 1\r\nx', '*', 'a.>', 'ä', 'a\0', 'a'.repeat(257)])(
        'refuse %j to publish on',
        async (subject) => {
          await fails(() => bus.publish(subject, bytes('x')), 'BUS_SUBJECT_INVALID');
          await fails(bus.request(subject, bytes('x')), 'BUS_SUBJECT_INVALID');
        },
      );

      it('carry messages up to the limit and refuse larger ones', async () => {
        const other = await connect();
        const heard: number[] = [];
        await other.subscribe('large', ({ data }) => void heard.push(data.byteLength)).ready;
        expect(bus.maxPayload).toBeGreaterThanOrEqual(528_384);
        bus.publish('large', new Uint8Array(bus.maxPayload));
        await expect.poll(() => heard).toEqual([bus.maxPayload]);
        const error = await fails(
          () => bus.publish('large', new Uint8Array(bus.maxPayload + 1)),
          'BUS_PAYLOAD_TOO_LARGE',
        );
        expect(error.context).toEqual({ bytes: bus.maxPayload + 1, maxPayload: bus.maxPayload });
      });

      it('are not changed by whoever keeps the bytes', async () => {
        const other = await connect();
        const heard: string[] = [];
        await other.subscribe('kept', ({ data }) => void heard.push(text(data))).ready;
        const data = bytes('before');
        bus.publish('kept', data);
        data.fill(0);
        await expect.poll(() => heard).toEqual(['before']);
      });
    });

    describe('requests', () => {
      it('are answered, many at a time', async () => {
        const other = await connect();
        await other.answer('upper.*', async ({ subject, data }) => {
          await delay(20);
          return bytes(`${subject} ${text(data).toUpperCase()}`);
        }).ready;
        const answers = await Promise.all(['a', 'b', 'c'].map((word) => bus.request('upper.x', bytes(word))));
        expect(answers.map(text)).toEqual(['upper.x A', 'upper.x B', 'upper.x C']);
      });

      it('fail at once where nobody answers, and by their deadline where nobody does in time', async () => {
        await fails(bus.request('nobody', bytes('?'), { timeoutMs: 60_000 }), 'BUS_NO_RESPONDER');
        const other = await connect();
        await other.answer('sleepy', async () => {
          await delay(500);
          return bytes('late');
        }).ready;
        const error = await fails(
          bus.request('sleepy', bytes('?'), { timeoutMs: 100 }),
          'BUS_REQUEST_TIMEOUT',
        );
        expect(error.context).toEqual({ subject: 'sleepy', timeoutMs: 100 });
        await fails(bus.request('sleepy', bytes('?'), { timeoutMs: 0 }), 'BUS_OPTION_INVALID');
      });

      it("carry the answerer's error as it was, and what is no error of ours as a failure", async () => {
        const other = await connect();
        const errors: unknown[] = [];
        const refuse = ({ data }: { data: Uint8Array }) => {
          if (text(data) === 'ours')
            throw new PynqLlmError('LLM_OVERLOADED', 'Ünmöglich\r\nnow.', { context: { retryAfterMs: 5 } });
          throw new Error('theirs');
        };
        await other.answer('refusing', refuse, { onError: (error) => errors.push(error) }).ready;
        const ours = await fails(bus.request('refusing', bytes('ours')), 'LLM_OVERLOADED');
        expect(ours.what).toBe('Ünmöglich\r\nnow.');
        expect(ours.context).toEqual({ retryAfterMs: 5 });
        const theirs = await fails(bus.request('refusing', bytes('theirs')), 'BUS_REQUEST_FAILED');
        expect(theirs.message).toContain('theirs');
        expect(errors.map(String)).toEqual(['Error: theirs']);
      });

      it('are refused where too many wait', async () => {
        const other = await connect();
        let open = () => {};
        const gate = new Promise<void>((resolve) => {
          open = resolve;
        });
        const answering = other.answer(
          'crowded',
          async () => {
            await gate;
            return bytes('done');
          },
          { concurrency: 2, limits: { messages: 1 } },
        );
        await answering.ready;
        const asked = [1, 2, 3, 4, 5].map(() => bus.request('crowded', bytes('?')));
        const settled = Promise.allSettled(asked);
        await expect.poll(() => answering.dropped).toBe(2);
        open();
        const results = await settled;
        expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(3);
        for (const result of results)
          if (result.status === 'rejected') expect((result.reason as PynqLlmError).code).toBe('BUS_BUSY');
      });
    });

    describe('work queue', () => {
      const declared = async (config: Partial<QueueConfig> = {}) => {
        const queueName = fresh();
        await bus.declareQueue({ name: queueName, ...LIMITS, ackWaitMs: 500, maxDeliveries: 3, ...config });
        const queue = bus.queue(queueName);
        await queue.openLane('any');
        return queue;
      };
      const shown = (delivery: Delivery | undefined) =>
        delivery && `${delivery.id} ${text(delivery.data)} ${delivery.deliveries}`;

      it('delivers each message once, the oldest first, and forgets it when it is acknowledged', async () => {
        const queue = await declared();
        const first = await queue.put('any', 'a', bytes('1'));
        const second = await queue.put('any', 'b', bytes('2'));
        expect(first.duplicate).toBe(false);
        expect(second.sequence).toBeGreaterThan(first.sequence);
        const one = await queue.pull('any', { waitMs: 1_000 });
        expect(shown(one)).toBe('a 1 1');
        expect(one!.sequence).toBe(first.sequence);
        await one!.ack();
        await one!.ack();
        expect(shown(await queue.pull('any', { waitMs: 1_000 }))).toBe('b 2 1');
        expect((await queue.list('any')).map(({ id }) => id)).toEqual(['b']);
      });

      it('waits for a message, and not longer than asked', async () => {
        const queue = await declared();
        const waiting = queue.pull('any', { waitMs: 5_000 });
        await delay(50);
        await queue.put('any', 'a', bytes('1'));
        expect(shown(await waiting)).toBe('a 1 1');
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
        const ending = new AbortController();
        const ended = queue.pull('any', { waitMs: 60_000, signal: ending.signal });
        await delay(50);
        ending.abort();
        expect(await ended).toBeUndefined();
        const began = performance.now();
        const atOnce = new AbortController();
        const never = queue.pull('any', { waitMs: 60_000, signal: atOnce.signal });
        atOnce.abort();
        expect(await never).toBeUndefined();
        expect(performance.now() - began).toBeLessThan(10_000);
        // Who no longer waits gets nothing: the message is there for the next, as its first delivery.
        await queue.put('any', 'b', bytes('2'));
        expect(shown(await queue.pull('any', { waitMs: 1_000 }))).toBe('b 2 1');
      });

      it('refuses a duplicate by its id in the whole queue, also after it was done', async () => {
        const queue = await declared();
        await queue.openLane('other');
        const first = await queue.put('any', 'a', bytes('1'));
        expect(await queue.put('any', 'a', bytes('again'))).toEqual({ ...first, duplicate: true });
        // A message that is moved needs a new id.
        expect((await queue.put('other', 'a', bytes('moved'))).duplicate).toBe(true);
        expect((await queue.put('other', 'a-2', bytes('moved'))).duplicate).toBe(false);
        await (await queue.pull('any', { waitMs: 1_000 }))!.ack();
        expect((await queue.put('any', 'a', bytes('again'))).duplicate).toBe(true);
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
        expect(shown(await queue.pull('other', { waitMs: 1_000 }))).toBe('a-2 moved 1');
      });

      it('takes an id again after its window', async () => {
        const queue = await declared({ duplicateWindowMs: 300 });
        await queue.put('any', 'a', bytes('1'));
        await expect
          .poll(async () => (await queue.put('any', 'a', bytes('2'))).duplicate, { interval: 400 })
          .toBe(false);
      });

      it('delivers again after the ack wait, and counts', async () => {
        const queue = await declared({ ackWaitMs: 1_500 });
        await queue.put('any', 'a', bytes('1'));
        expect(shown(await queue.pull('any', { waitMs: 1_000 }))).toBe('a 1 1');
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
        expect(shown(await queue.pull('any', { waitMs: 10_000 }))).toBe('a 1 2');
      });

      it('delivers again what was given back, at once or later', async () => {
        const queue = await declared({ ackWaitMs: 30_000 });
        await queue.put('any', 'a', bytes('1'));
        (await queue.pull('any', { waitMs: 1_000 }))!.nak();
        const second = await queue.pull('any', { waitMs: 2_000 });
        expect(shown(second)).toBe('a 1 2');
        second!.nak(600);
        expect(await queue.pull('any', { waitMs: 200 })).toBeUndefined();
        expect(shown(await queue.pull('any', { waitMs: 5_000 }))).toBe('a 1 3');
      });

      it('takes back a delivery in the name of another, long before its ack wait', async () => {
        const queue = await declared({ ackWaitMs: 30_000 });
        const other = (await connect()).queue(queue.name);
        await queue.put('any', 'a', bytes('1'));
        const lost = (await other.pull('any', { waitMs: 1_000 }))!;
        await queue.giveBack(lost.token);
        expect(shown(await queue.pull('any', { waitMs: 2_000 }))).toBe('a 1 2');
        // The zombie's work counts all the same.
        await lost.ack();
        expect(await queue.list('any')).toEqual([]);
        await queue.giveBack(lost.token);
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
      });

      it('gives who still works the whole ack wait again', async () => {
        const queue = await declared({ ackWaitMs: 2_000 });
        await queue.put('any', 'a', bytes('1'));
        const delivery = (await queue.pull('any', { waitMs: 1_000 }))!;
        for (let i = 0; i < 6; i++) {
          await delay(500);
          delivery.working();
        }
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
        await delivery.ack();
        expect(await queue.list('any')).toEqual([]);
      });

      it('stops after the most deliveries, tells, and keeps the message until it is removed', async () => {
        const queue = await declared({ ackWaitMs: 30_000, maxDeliveries: 2 });
        const told: unknown[] = [];
        await queue.onExhausted((exhausted) => told.push(exhausted)).ready;
        const { sequence } = await queue.put('any', 'poison', bytes('1'));
        for (let i = 0; i < 2; i++) (await queue.pull('any', { waitMs: 2_000 }))!.nak();
        expect(await queue.pull('any', { waitMs: 300 })).toBeUndefined();
        await expect.poll(() => told).toEqual([{ lane: 'any', sequence, deliveries: 2 }]);
        expect((await queue.list('any')).map(({ id }) => id)).toEqual(['poison']);
        await queue.put('any', 'next', bytes('2'));
        expect(shown(await queue.pull('any', { waitMs: 2_000 }))).toBe('next 2 1');
        expect(await queue.remove(sequence)).toBe(true);
        expect(await queue.remove(sequence)).toBe(false);
        expect((await queue.list('any')).map(({ id }) => id)).toEqual(['next']);
      });

      it('shares work among pullers, each message to one of them', async () => {
        const queue = await declared({ ackWaitMs: 30_000 });
        const seen: string[] = [];
        const pullers = [];
        for (let i = 0; i < 4; i++) {
          const mine = (await connect()).queue(queue.name);
          pullers.push(
            (async () => {
              for (;;) {
                const delivery = await mine.pull('any', { waitMs: 700 });
                if (!delivery) return;
                seen.push(delivery.id);
                await delivery.ack();
              }
            })(),
          );
        }
        for (let i = 0; i < 60; i++) await queue.put('any', `m${i}`, bytes(String(i)));
        await Promise.all(pullers);
        expect(seen.toSorted()).toEqual(Array.from({ length: 60 }, (_, i) => `m${i}`).toSorted());
      });

      it('keeps lanes apart; one is opened after its messages, and deleted with them', async () => {
        const queue = await declared();
        await fails(queue.pull('late', { waitMs: 1_000 }), 'BUS_MISSING');
        await queue.put('late', 'a', bytes('1'));
        expect(await queue.pull('any', { waitMs: 100 })).toBeUndefined();
        await queue.openLane('late');
        await queue.openLane('late');
        expect(shown(await queue.pull('late', { waitMs: 1_000 }))).toBe('a 1 1');
        await queue.deleteLane('late');
        await queue.deleteLane('late');
        expect(await queue.list('late')).toEqual([]);
        await fails(queue.pull('late', { waitMs: 100 }), 'BUS_MISSING');
      });

      it('refuses what does not fit, and hostile names, ids and tokens', async () => {
        const queue = await declared({ maxBytes: 8_192 });
        await queue.put('any', 'a', new Uint8Array(5_000));
        await fails(queue.put('any', 'b', new Uint8Array(5_000)), 'BUS_STORE_FULL');
        await fails(queue.put('any', 'c', new Uint8Array(bus.maxPayload + 1)), 'BUS_PAYLOAD_TOO_LARGE');
        for (const lane of ['', 'a.b', '>', 'a b', '../x']) {
          await fails(queue.put(lane, 'd', bytes('x')), 'BUS_SUBJECT_INVALID');
          await fails(queue.openLane(lane), 'BUS_SUBJECT_INVALID');
        }
        for (const id of ['', 'a\r\nb', 'ü', 'x'.repeat(129)])
          await fails(queue.put('any', id, bytes('x')), 'BUS_SUBJECT_INVALID');
        for (const token of ['', 'any', '$JS.API.STREAM.DELETE.x', `$JS.ACK.${queue.name}.any.1.1.1.1.>`])
          await fails(queue.giveBack(token), 'BUS_SUBJECT_INVALID');
        await fails(bus.queue(fresh()).put('any', 'a', bytes('x')), 'BUS_MISSING');
        await fails(
          bus.declareQueue({ name: fresh(), ...LIMITS, ackWaitMs: 5, maxDeliveries: 3 }),
          'BUS_OPTION_INVALID',
        );
      });

      it('changes its limits where it is declared and its lanes are opened again', async () => {
        const queue = await declared({ ackWaitMs: 30_000 });
        await bus.declareQueue({ name: queue.name, ...LIMITS, ackWaitMs: 150, maxDeliveries: 5 });
        await queue.openLane('any');
        await queue.put('any', 'a', bytes('1'));
        await queue.pull('any', { waitMs: 1_000 });
        expect(shown(await queue.pull('any', { waitMs: 2_000 }))).toBe('a 1 2');
      });
    });

    describe('log', () => {
      const declared = async (limits = {}) => {
        const logName = fresh();
        await bus.declareLog({ name: logName, ...LIMITS, ...limits });
        return bus.log(logName);
      };

      it('keeps what is appended in order, by subject, for whoever reads from where', async () => {
        const log = await declared();
        const reading = take(log.read({ pattern: 'tok.*.g1' }), 6);
        const appends = [];
        for (let i = 0; i < 6; i++) {
          appends.push(log.append('tok.b1.g1', String(i), bytes(`one ${i}`)));
          appends.push(log.append('tok.b1.g2', String(i), bytes(`two ${i}`)));
        }
        const stored = await Promise.all(appends);
        expect(stored.every(({ duplicate }) => !duplicate)).toBe(true);
        const read = await reading;
        expect(read.map(({ data }) => text(data))).toEqual([0, 1, 2, 3, 4, 5].map((i) => `one ${i}`));
        expect(read.map(({ subject, id }) => `${subject} ${id}`)[2]).toBe('tok.b1.g1 2');
        const from = read[3]!.sequence;
        const again = await take(log.read({ pattern: 'tok.b1.>', from }), 3);
        expect(again[0]!.sequence).toBe(from);
        expect(await log.bounds()).toEqual({ first: 1, last: 12 });
        expect(text((await log.last('tok.b1.g2'))!.data)).toBe('two 5');
        expect(await log.last('tok.b1.g3')).toBeUndefined();
      });

      it('refuses duplicates by id and subject', async () => {
        const log = await declared();
        const first = await log.append('a', '1', bytes('x'));
        expect(await log.append('a', '1', bytes('y'))).toEqual({ ...first, duplicate: true });
        expect((await log.append('b', '1', bytes('z'))).duplicate).toBe(false);
        expect((await take(log.read(), 2)).map(({ data }) => text(data))).toEqual(['x', 'z']);
      });

      it('is read as it grows, until the reader is ended', async () => {
        const log = await declared();
        const ending = new AbortController();
        const read: string[] = [];
        const reading = (async () => {
          for await (const entry of log.read({ signal: ending.signal })) read.push(text(entry.data));
        })();
        for (let i = 0; i < 50; i++) await log.append('a', String(i), bytes(String(i)));
        await expect.poll(() => read.length).toBe(50);
        expect(read).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
        ending.abort();
        await reading;
      });

      it('passes over what was purged or pushed out', async () => {
        const log = await declared({ maxBytes: 8_192 });
        for (let i = 0; i < 4; i++) await log.append('big', String(i), new Uint8Array(3_000).fill(i));
        expect((await take(log.read(), 2)).map(({ id }) => id)).toEqual(['2', '3']);
        await log.append('small', 's', bytes('s'));
        await log.purge('big');
        expect((await take(log.read(), 1)).map(({ id }) => id)).toEqual(['s']);
        expect((await log.bounds()).last).toBe(5);
        await log.purge('>');
        const { first, last } = await log.bounds();
        expect(first).toBe(last + 1);
      });

      it('does not exist before it is declared, and takes no hostile subjects', async () => {
        await fails(bus.log(fresh()).append('a', '1', bytes('x')), 'BUS_MISSING');
        await fails(take(bus.log(fresh()).read(), 1), 'BUS_MISSING');
        const log = await declared();
        await fails(log.append('a.>', '1', bytes('x')), 'BUS_SUBJECT_INVALID');
        await fails(take(log.read({ pattern: 'a.>.b' }), 1), 'BUS_SUBJECT_INVALID');
        await fails(take(log.read({ from: 0 }), 1), 'BUS_OPTION_INVALID');
        await fails(log.append('a', '1', new Uint8Array(bus.maxPayload + 1)), 'BUS_PAYLOAD_TOO_LARGE');
        expect((await log.append('a', '1', new Uint8Array(bus.maxPayload))).sequence).toBe(1);
      });
    });

    describe('key-value', () => {
      const declared = async () => {
        const bucket = fresh();
        await bus.declareBucket({ name: bucket, maxBytes: 0 });
        return bus.bucket(bucket);
      };

      it('creates once, and sets only what was not changed in between', async () => {
        const bucket = await declared();
        expect(await bucket.get('k')).toBeUndefined();
        const first = (await bucket.create('k', bytes('1')))!;
        expect(await bucket.create('k', bytes('x'))).toBeUndefined();
        const second = (await bucket.update('k', bytes('2'), first))!;
        expect(second).toBeGreaterThan(first);
        expect(await bucket.update('k', bytes('x'), first)).toBeUndefined();
        expect(await bucket.get('k')).toMatchObject({ key: 'k', revision: second });
        expect(text((await bucket.get('k'))!.value)).toBe('2');
        expect(await bucket.delete('k', first)).toBe(false);
        expect(await bucket.delete('k', second)).toBe(true);
        expect(await bucket.delete('k')).toBe(false);
        expect(await bucket.get('k')).toBeUndefined();
        expect(await bucket.create('k', bytes('3'))).toBeGreaterThan(second);
        expect(await bucket.put('k', bytes('4'))).toBeGreaterThan(second);
        expect(await bucket.delete('k')).toBe(true);
        await fails(bus.bucket(fresh()).get('k'), 'BUS_MISSING');
        await fails(bucket.put('k.*', bytes('x')), 'BUS_SUBJECT_INVALID');
      });

      it('takes no value beyond the most that it was told, also where it knew another most before', async () => {
        const bucket = await declared();
        const large = new Uint8Array(20_000);
        expect(await bucket.put('k', large)).toBe(1);
        await bus.declareBucket({ name: bucket.name, maxBytes: 0, maxValueBytes: 8_192 });
        await fails(bucket.put('k', large), 'BUS_PAYLOAD_TOO_LARGE');
        await fails(bucket.create('l', large), 'BUS_PAYLOAD_TOO_LARGE');
        expect((await bucket.get('k'))!.value).toHaveLength(20_000);
        expect(await bucket.put('l', new Uint8Array(8_192))).toBeGreaterThan(1);
      });

      it('lets one of several who race win each time', async () => {
        const bucket = await declared();
        const rivals = await Promise.all([1, 2, 3, 4].map(async () => (await connect()).bucket(bucket.name)));
        const created = await Promise.all(rivals.map((rival, i) => rival.create('n', bytes(`c${i}`))));
        expect(created.filter((revision) => revision !== undefined).length).toBe(1);
        await bucket.put('n', bytes('0'));
        const add = async (rival: typeof bucket) => {
          for (let done = 0; done < 10; ) {
            const { value, revision } = (await rival.get('n'))!;
            if (await rival.update('n', bytes(String(Number(text(value)) + 1)), revision)) done++;
          }
        };
        await Promise.all(rivals.map(add));
        expect(text((await bucket.get('n'))!.value)).toBe('40');
      });

      it('shows a watcher what is there, that it was all, and each change', async () => {
        const bucket = await declared();
        await bucket.put('a.one', bytes('1'));
        await bucket.put('a.two', bytes('2'));
        await bucket.put('a.one', bytes('3'));
        await bucket.put('b', bytes('other'));
        const ending = new AbortController();
        const seen: string[] = [];
        const watching = (async () => {
          for await (const event of bucket.watch({ pattern: 'a.*', signal: ending.signal }))
            seen.push(
              event.kind === 'ready'
                ? 'ready'
                : `${event.key} ${event.kind === 'value' ? text(event.value) : 'deleted'}`,
            );
        })();
        await expect.poll(() => seen).toEqual(['a.two 2', 'a.one 3', 'ready']);
        await bucket.put('a.new', bytes('4'));
        await bucket.put('c', bytes('other'));
        await expect.poll(() => seen.at(-1)).toBe('a.new 4');
        await bucket.delete('a.two');
        await expect.poll(() => seen.at(-1)).toBe('a.two deleted');
        ending.abort();
        await watching;
        const empty = await declared();
        expect(await take(empty.watch(), 1)).toEqual([{ kind: 'ready' }]);
      });
    });

    describe('leases', () => {
      const declared = async () => {
        const bucket = fresh();
        await bus.declareBucket({ name: bucket, maxBytes: 0 });
        return bus.bucket(bucket);
      };

      it('are held by one, renewed, and taken over when they are released or end', async () => {
        const bucket = await declared();
        const a = (await takeLease(bus, bucket, 'leader', { owner: 'a', ttlMs: 1_500 }))!;
        expect(await takeLease(bus, bucket, 'leader', { owner: 'b', ttlMs: 1_500 })).toBeUndefined();
        const waiting = takeLease(bus, bucket, 'leader', { owner: 'b', ttlMs: 1_500, waitMs: 30_000 });
        await delay(2_500);
        expect(a.held).toBe(true);
        await a.release();
        expect(a.lost.reason).toBe('released');
        const b = (await waiting)!;
        expect(b.term).toBeGreaterThan(a.term);
        await b.release();
      });

      it('end for their holder before another takes them', async () => {
        const bucket = await declared();
        const a = (await takeLease(bus, bucket, 'leader', { owner: 'a', ttlMs: 600 }))!;
        // Whoever comes from outside and writes over it ends it.
        await bucket.put('leader', bytes(JSON.stringify({ owner: 'x', ttlMs: 300, value: '' })));
        await expect.poll(() => a.lost.aborted).toBe(true);
        expect(a.held).toBe(false);
        expect((a.lost.reason as PynqLlmError).code).toBe('BUS_LEASE_LOST');
        // x renews nothing.
        const b = (await takeLease(bus, bucket, 'leader', { owner: 'b', ttlMs: 600, waitMs: 5_000 }))!;
        expect(b.held).toBe(true);
        await b.release();
      });

      it('are had again by a holder that could not renew them, with the same term, where nobody took them meanwhile', async () => {
        const bucket = await declared();
        let isAway = false;
        const shaky: KeyValue = {
          name: bucket.name,
          get: (...args) => bucket.get(...args),
          create: (...args) => bucket.create(...args),
          update: (...args) =>
            isAway
              ? Promise.reject(new PynqLlmError('BUS_UNAVAILABLE', 'It is away.'))
              : bucket.update(...args),
          put: (...args) => bucket.put(...args),
          delete: (...args) => bucket.delete(...args),
          watch: (...args) => bucket.watch(...args),
        };
        const lose = async (lease: Lease) => {
          isAway = true;
          await expect.poll(() => lease.lost.aborted).toBe(true);
          expect(lease.held).toBe(false);
          isAway = false;
        };
        const a = (await takeLease(bus, shaky, 'leader', { owner: 'a', ttlMs: 1_500 }))!;
        await lose(a);
        const again = (await a.regain())!;
        expect([again.held, again.term]).toEqual([true, a.term]);
        await lose(again);
        const b = (await takeLease(bus, bucket, 'leader', { owner: 'b', ttlMs: 1_500, waitMs: 30_000 }))!;
        expect(b.term).toBeGreaterThan(a.term);
        expect(await again.regain()).toBeUndefined();
        await b.release();
        expect(await b.regain()).toBeUndefined();
        expect(await again.regain()).toBeUndefined();
      });

      it('are not ended by what is no lease', async () => {
        const bucket = await declared();
        const a = (await takeLease(bus, bucket, 'leader', { owner: 'a', ttlMs: 1_500 }))!;
        for (const rubbish of ['', '{', 'null', '{"owner":"a"}', '{"owner":"x","ttlMs":1e9,"value":""}']) {
          await bucket.put('leader', bytes(rubbish));
          await delay(800);
          expect(a.held).toBe(true);
        }
        await a.release();
      });

      it('are watched by own timers: live, changed, released, expired', async () => {
        const bucket = await declared();
        const events: LeaseEvent[] = [];
        const watch = watchLeases(bus, bucket, (event) => events.push(event), 'board.*');
        const shown = () =>
          events.map((event) =>
            event.kind === 'ready'
              ? 'ready'
              : `${event.kind} ${event.key} ${event.kind === 'live' ? event.value : event.why}`,
          );
        await expect.poll(shown).toEqual(['ready']);
        const options = { owner: 'o1', ttlMs: 1_500, value: '1' };
        const lease = (await takeLease(bus, bucket, 'board.b1', { ...options, sole: true }))!;
        await expect.poll(shown).toEqual(['ready', 'live board.b1 1']);
        await delay(2_500);
        await lease.set('2');
        await expect.poll(() => shown().at(-1)).toBe('live board.b1 2');
        await lease.release();
        await expect.poll(() => shown().at(-1)).toBe('gone board.b1 released');
        await bucket.put('board.b2', bytes(JSON.stringify({ owner: 'o2', ttlMs: 300, value: 'x' })));
        await expect.poll(() => shown().slice(-2)).toEqual(['live board.b2 x', 'gone board.b2 expired']);
        expect(shown().length).toBe(6);
        watch.close();
        await watch.ended;
      });
    });

    it('ends everything when it is closed, and says so', async () => {
      const other = await broker.connect();
      const queueName = fresh();
      await other.declareQueue({ name: queueName, ...LIMITS, ackWaitMs: 500, maxDeliveries: 3 });
      await other.declareLog({ name: fresh(), ...LIMITS });
      const logName = `T${counter - 1}`;
      const queue = other.queue(queueName);
      await queue.openLane('any');
      const changes: boolean[] = [];
      other.onConnection((connected) => changes.push(connected));
      await bus.answer('never', () => new Promise(() => {})).ready;
      const ends = [
        fails(queue.pull('any', { waitMs: 60_000 }), 'BUS_CLOSED'),
        fails(take(other.log(logName).read(), 1), 'BUS_CLOSED'),
        fails(other.request('never', bytes('?'), { timeoutMs: 60_000 }), 'BUS_CLOSED'),
      ];
      await delay(100);
      await other.close();
      await Promise.all(ends);
      await other.close();
      expect(other.connected).toBe(false);
      await expect.poll(() => changes).toEqual([false]);
      await fails(() => other.publish('a', bytes('x')), 'BUS_CLOSED');
      await fails(() => other.subscribe('a', () => {}), 'BUS_CLOSED');
      await fails(queue.put('any', 'a', bytes('x')), 'BUS_CLOSED');
      await fails(other.bucket('B').get('k'), 'BUS_CLOSED');
    });
  });
}
