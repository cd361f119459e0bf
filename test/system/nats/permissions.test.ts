import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, headers, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Bus,
  connectNats,
  createKey,
  type KeyRights,
  keyPermissions,
  takeLease,
  userEntry,
} from '../../../bus/index.js';
import type { PynqLlmError } from '../../../errors/index.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

const bytes = (text: string) => Buffer.from(text);
const text = (data: Uint8Array) => Buffer.from(data).toString();
const LIMITS = { maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 60_000 };
/** What a board of a fleet may do. */
const rights = (board: string): KeyRights => ({
  inbox: board,
  pulls: [{ queue: 'F_work', lane: `b-${board}` }],
  appends: [{ log: 'F_log', pattern: `tok.${board}.*` }],
  writes: [{ bucket: 'F_boards', key: board }],
  reads: ['F_plan'],
  publishes: ['F.ask.>'],
  subscribes: [`F.to.${board}.>`],
});

describe.skipIf(noNatsServer)(`a board's key${noNatsServer ? `: ${noNatsServer}` : ''}`, () => {
  let server: TestNatsServer;
  let owner: Bus;
  let mine: Bus;
  let theirs: Bus;
  /** The stolen key of the board b1, in a client that keeps to nothing. */
  let thief: NatsConnection;
  const complaints: PynqLlmError[] = [];

  beforeAll(async () => {
    server = await TestNatsServer.start();
    const file = (name: string) => join(server.folder, `${name}.nk`);
    const entries = [`{ nkey: ${await createKey(file('owner'))} }`];
    for (const board of ['b1', 'b2'])
      entries.push(userEntry(await createKey(file(board)), keyPermissions(rights(board))));
    server.configure(`authorization { users: [\n${entries.join('\n')}\n] }`);
    await server.kill();
    await server.run();
    const { url } = server;
    owner = await connectNats({ url, credentials: file('owner') });
    await owner.declareQueue({ name: 'F_work', ...LIMITS, ackWaitMs: 30_000, maxDeliveries: 3 });
    await owner.declareLog({ name: 'F_log', ...LIMITS });
    for (const name of ['F_boards', 'F_plan']) await owner.declareBucket({ name, maxBytes: 0 });
    for (const lane of ['b-b1', 'b-b2']) await owner.queue('F_work').openLane(lane);
    const onError = (error: PynqLlmError) => complaints.push(error);
    mine = await connectNats({ url, credentials: file('b1'), inbox: 'b1', onError });
    theirs = await connectNats({ url, credentials: file('b2'), inbox: 'b2' });
    const authenticator = nkeyAuthenticator(readFileSync(file('b1')).subarray(0, 58));
    thief = await connect({ servers: url, authenticator, inboxPrefix: '_INBOX_b1', reconnect: false });
  });
  afterAll(async () => {
    await thief?.close();
    for (const bus of [owner, mine, theirs]) await bus?.close();
    await server?.[Symbol.asyncDispose]();
  });
  const refused = (work: Promise<unknown>) =>
    expect(work).rejects.toMatchObject({ code: 'BUS_NOT_PERMITTED' });
  /** What the key's owner may do by hand is refused, or nothing comes of it. */
  const cannot = async (subject: string, payload = '') => {
    await expect(thief.request(subject, payload, { timeout: 700 })).rejects.toThrow(/ermission/);
  };

  it("is enough for a board's work", async () => {
    await owner.queue('F_work').put('b-b1', 'w1', bytes('work'));
    const delivery = (await mine.queue('F_work').pull('b-b1', { waitMs: 2_000 }))!;
    expect(text(delivery.data)).toBe('work');
    delivery.working();
    expect((await mine.log('F_log').append('tok.b1.g1', '0', bytes('t'))).sequence).toBe(1);
    await delivery.ack();
    const options = { owner: 'o1', ttlMs: 2_000, value: 'load', sole: true };
    const lease = (await takeLease(mine, mine.bucket('F_boards'), 'b1', options))!;
    await lease.set('more');
    expect(text((await owner.bucket('F_boards').get('b1'))!.value)).toContain('more');
    await lease.release();
    await owner.bucket('F_plan').put('1', bytes('plan'));
    expect(text((await mine.bucket('F_plan').get('1'))!.value)).toBe('plan');
    for await (const event of mine.bucket('F_plan').watch()) if (event.kind === 'ready') break;
    await owner.answer('F.ask.chunk', ({ data }) => bytes(`owner: ${text(data)}`)).ready;
    expect(text(await mine.request('F.ask.chunk', bytes('1')))).toBe('owner: 1');
    await mine.answer('F.to.b1.>', ({ data }) => bytes(`b1: ${text(data)}`)).ready;
    expect(text(await owner.request('F.to.b1.cancel', bytes('2')))).toBe('b1: 2');
    expect(complaints).toEqual([]);
  });

  it("does not read others' work, and acknowledges none of it", async () => {
    await owner.queue('F_work').put('b-b2', 'w2', bytes('secret'));
    await refused(mine.queue('F_work').pull('b-b2', { waitMs: 1_000 }));
    await cannot('$JS.API.CONSUMER.MSG.NEXT.F_work.b-b2', '{"batch":1,"expires":500000000}');
    await cannot('$JS.API.DIRECT.GET.F_work', '{"seq":1}');
    await cannot('$JS.API.STREAM.MSG.GET.F_work', '{"seq":2}');
    await cannot('$JS.API.CONSUMER.CREATE.F_work', '{}');
    await cannot('$JS.API.CONSUMER.DURABLE.CREATE.F_work.x', '{}');
    const held = (await theirs.queue('F_work').pull('b-b2', { waitMs: 2_000 }))!;
    await refused(mine.queue('F_work').giveBack(held.token));
    await cannot(held.token, '+ACK');
    expect((await owner.queue('F_work').list('b-b2')).length).toBe(1);
    await held.ack();
    // Nor by listening where it goes by.
    for (const pattern of ['>', 'F_work.>', 'F_log.>', '_INBOX.>', '_INBOX_b2.>', '$JS.ACK.>', 'F.to.b2.>']) {
      const subscription = mine.subscribe(pattern.startsWith('$') ? 'F_work.*' : pattern, () => {});
      await refused(subscription.ready);
    }
  });

  it("does not write others' logs and keys, and reads none of them", async () => {
    await refused(mine.log('F_log').append('tok.b2.g1', '0', bytes('forged')));
    await refused(mine.log('F_log').append('gen.g1', '0', bytes('forged')));
    await refused(mine.log('F_log').last('tok.b2.g1'));
    await refused(
      (async () => {
        for await (const _ of mine.log('F_log').read()) break;
      })(),
    );
    await refused(mine.bucket('F_boards').put('b2', bytes('forged')));
    await refused(mine.bucket('F_plan').put('1', bytes('forged')));
    await refused(mine.bucket('F_boards').get('b2'));
    await refused(mine.declareLog({ name: 'F_log', ...LIMITS }));
    await refused(mine.log('F_log').purge('>'));
    for (const api of [
      'STREAM.DELETE.F_log',
      'STREAM.PURGE.F_work',
      'STREAM.MSG.DELETE.F_log',
      'STREAM.NAMES',
    ])
      await cannot(`$JS.API.${api}`, '{"seq":1}');
  });

  it("stores nothing in others' names by answers that it sends there", async () => {
    const before = (await owner.log('F_log').bounds()).last;
    // A broker sends its answers to whatever subject the question names.
    const hdrs = headers();
    hdrs.set('Nats-Msg-Id', 'tok.b2.g9/7');
    thief.publish('F_log.tok.b1.g1', 'x', { reply: 'F_log.tok.b2.g9', headers: hdrs });
    await owner.queue('F_work').put('b-b1', 'w3', bytes('work'));
    thief.publish('$JS.API.CONSUMER.MSG.NEXT.F_work.b-b1', '{"batch":1,"expires":900000000}', {
      reply: 'F_log.tok.b2.g9',
    });
    thief.publish('$KV.F_boards.b1', 'x', { reply: '$KV.F_boards.b2' });
    // Nor do those who answer.
    thief.publish('F.ask.chunk', 'x', { reply: 'F_log.tok.b2.g9', headers: hdrs });
    await thief.flush();
    await expect.poll(async () => (await owner.log('F_log').bounds()).last).toBeGreaterThan(before + 1);
    await delay(300);
    // What got there is passed over.
    expect(await owner.log('F_log').last('tok.b2.g9')).toBeUndefined();
    expect(await owner.bucket('F_boards').get('b2')).toBeUndefined();
    expect(await owner.bucket('F_boards').create('b2', bytes('own'))).toBeGreaterThan(0);
    const ending = new AbortController();
    const read: string[] = [];
    const reading = (async () => {
      for await (const { subject } of owner.log('F_log').read({ signal: ending.signal })) read.push(subject);
    })();
    await theirs.log('F_log').append('tok.b2.g9', '0', bytes('own'));
    await expect.poll(() => read.at(-1)).toBe('tok.b2.g9');
    expect(read.filter((subject) => subject === 'tok.b2.g9').length).toBe(1);
    ending.abort();
    await reading;
  });
});
