import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  connect as connectRaw,
  headers,
  type NatsConnection,
  nkeyAuthenticator,
} from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BoardClient, connect, type Model } from '../../../sdk/index.js';
import { openMock } from '../../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from '../support/agent.js';
import { type AgentProcess, cli, cliAgent, cliServer } from '../support/cli.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 16, temperature: 1, seed: 5, ignoreEos: true };
const WAIT = { timeout: 60_000, interval: 100 };
const TOKENS = [
  'read token-of-one-who-looks',
  'infer token-of-one-who-generates',
  'admin token-of-the-operator',
];
const tokenOf = (role: string) => TOKENS.find((line) => line.startsWith(role))!.split(' ')[1]!;

describe.skipIf(noNatsServer)(
  `a fleet whose members have keys${noNatsServer ? `: ${noNatsServer}` : ''}`,
  () => {
    const home = temporaryDirectory();
    const file = (name: string) => join(home.path, name);
    let broker: TestNatsServer;
    let gateway: AgentProcess;
    const agents = new Map<string, AgentProcess>();
    const keys = new Map<string, string>();
    let operator: BoardClient;
    let model: Model;

    const run = (...args: string[]) => cli(['fleet', ...args], { home: home.path, timeoutMs: 60_000 });
    const users = () => ['--users', file('users.conf'), '--pid-file', file('nats.pid')];
    const key = async (name: string) => {
      const { stdout } = await run('key', file(`${name}.nk`));
      keys.set(name, stdout.trim());
      return stdout.trim();
    };
    const start = async (name: string) => {
      const flags = ['--fleet', broker.url, '--fleet-name', name, '--fleet-creds', file(`${name}.nk`)];
      agents.set(
        name,
        await cliAgent(file(name), 'mock:', [...flags, '--threads', '1', '--log-level', 'info']),
      );
    };
    const states = async () =>
      (await operator.fleetStatus()).boards.map(
        ({ name, state, models }) => `${name} ${state} ${models.map((one) => one.state).join()}`,
      );
    const fleet = (role: string) => ['--device', gateway.url, '--token', tokenOf(role)];

    beforeAll(async () => {
      // The first member makes the list; there is no broker yet that could read it.
      const first = await run('enrol', 'gateway', await key('gateway'), '--gateway', ...users());
      expect(first).toMatchObject({ status: 1, stderr: expect.stringContaining('FLEET_BROKER_RELOAD') });
      // A broker takes the name of an included file as one beside its configuration, also where it begins with "/".
      const beside = `../${basename(home.path)}/users.conf`;
      broker = await TestNatsServer.start(
        `pid_file: ${JSON.stringify(file('nats.pid'))}\ninclude ${JSON.stringify(beside)}`,
      );
      for (const name of ['one', 'two'])
        expect(await run('enrol', name, await key(name), ...users())).toMatchObject({
          status: 0,
          stderr: '',
        });
      writeFileSync(file('tokens'), `${TOKENS.join('\n')}\n`, { mode: 0o600 });
      const entry = ['--bus', broker.url, '--bus-creds', file('gateway.nk'), '--token-file', file('tokens')];
      gateway = await cliServer(['fleet', 'serve', ...entry, '--port', '0', '--log-level', 'warn'], {
        home: file('gateway'),
      });
      for (const name of ['one', 'two']) await start(name);
      // It answers once there is a board.
      operator = await vi.waitFor(() => connect(gateway.url, { token: tokenOf('admin') }), WAIT);
      await vi.waitFor(async () => expect(await states()).toEqual(['one ready ', 'two ready ']), WAIT);
      model = await operator.models.upload(TINY_MODEL);
    });
    afterAll(async () => {
      await operator?.close();
      for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
      await gateway?.[Symbol.asyncDispose]();
      await broker?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });

    it('keeps seeds where they were made, closed to others', async () => {
      // Asked again it is the same one.
      expect((await run('key', file('one.nk'))).stdout).toBe(`${keys.get('one')}\n`);
      for (const [name, publicKey] of keys) {
        expect(statSync(file(`${name}.nk`)).mode & 0o777).toBe(0o600);
        expect(publicKey).toMatch(/^U[A-Z2-7]{55}$/);
        const seed = readFileSync(file(`${name}.nk`), 'utf8').trim();
        expect(seed).toMatch(/^SU/);
        expect(readFileSync(file('users.conf'), 'utf8')).not.toContain(seed);
      }
    });

    it('loads models on every board, and generates what one board does', async () => {
      expect(await states()).toEqual(['one ready loaded', 'two ready loaded']);
      await using alone = await openMock();
      const reference = await (await alone.models.upload(TINY_MODEL)).generate(PROMPT, OPTIONS).text();
      const texts = await Promise.all([1, 2, 3, 4].map(() => model.generate(PROMPT, OPTIONS).text()));
      expect(texts).toEqual([reference, reference, reference, reference]);
      for (const agent of agents.values()) expect(agent.log()).not.toContain('BUS_NOT_PERMITTED');
    });

    it('verifies that boards are alike, bit for bit', async () => {
      const { status, stdout } = await run('verify', ...fleet('infer'), '--json');
      const { boards, differences } = JSON.parse(stdout);
      expect({ status, differences }).toEqual({ status: 0, differences: [] });
      const [one, two] = boards;
      expect(one).toMatchObject({ name: 'one', models: [{ model: model.digest, state: 'loaded' }] });
      expect(one.roundTripsMs).toHaveLength(5);
      expect(one.generations).toEqual([
        { model: model.digest, tokens: 8, digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ]);
      expect(two.generations).toEqual(one.generations);
      expect((await run('verify', ...fleet('infer'))).stdout).toMatch(
        /\n2 boards are alike, and as their gateway /,
      );
      expect((await run('verify', ...fleet('read'))).stderr).toContain('PROTOCOL_ROLE_REQUIRED');
    });

    it('drains a board for its operator alone, and has it take requests again', async () => {
      expect(await run('drain', 'one', ...fleet('infer'))).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('PROTOCOL_ROLE_REQUIRED'),
      });
      expect((await run('drain', 'three', ...fleet('admin'))).stderr).toContain('FLEET_BOARD_UNKNOWN');
      const long = model.generate(PROMPT, { maxTokens: 60, temperature: 0, ignoreEos: true });
      await long.admitted;
      // A client that does not read would hold up its board.
      const text = long.text();
      const { status, stdout } = await run('drain', 'one', '--wait', '120', ...fleet('admin'));
      expect({ status, stdout }).toEqual({ status: 0, stdout: 'one has no requests any more\n' });
      expect(await text).not.toBe('');
      expect((await long.done).tokens).toBe(60);
      expect((await states())[0]).toBe('one draining loaded');
      // All of these are the other one's.
      const seen = await Promise.all(
        [1, 2, 3].map(async (seed) => {
          const generation = model.generate(PROMPT, { ...OPTIONS, seed });
          await generation.admitted;
          const { boards } = await operator.fleetStatus();
          await generation.done;
          return boards.find(({ name }) => name === 'one')!.inHand;
        }),
      );
      expect(seen).toEqual([0, 0, 0]);
      expect((await run('drain', 'one', '--undo', ...fleet('admin'))).stdout).toBe(
        'one takes requests again\n',
      );
      expect((await states())[0]).toBe('one ready loaded');
    });

    describe('of which one is stolen', () => {
      let thief: NatsConnection;
      beforeAll(async () => {
        const seed = readFileSync(file('one.nk')).subarray(0, 58);
        thief = await connectRaw({
          servers: broker.url,
          authenticator: nkeyAuthenticator(seed),
          inboxPrefix: '_INBOX_one',
          reconnect: false,
        });
      });
      afterAll(async () => {
        await thief?.close();
      });
      const cannotAsk = async (subject: string, payload = '{}') =>
        expect(thief.request(subject, payload, { timeout: 2_000 })).rejects.toThrow(/ermission/);
      const cannotHear = async (subject: string) => {
        const subscription = thief.subscribe(subject);
        await expect(
          (async () => {
            for await (const _ of subscription);
          })(),
        ).rejects.toThrow(/ermission/);
      };

      it("reads no other board's requests or tokens, nor who there is", async () => {
        for (const subject of [
          '$JS.API.CONSUMER.MSG.NEXT.FLEET_WORK.two',
          'FLEET.api.CONSUMER.MSG.NEXT.FLEET_WORK.two',
          'FLEET.api.CONSUMER.INFO.FLEET_WORK.two',
          '$JS.API.DIRECT.GET.FLEET_WORK',
          '$JS.API.DIRECT.GET.FLEET_LOG',
          '$JS.API.DIRECT.GET.FLEET_LOG.FLEET_LOG.tok.one.x',
          '$JS.API.DIRECT.GET.KV_FLEET_BOARDS',
          '$JS.API.STREAM.MSG.GET.FLEET_LOG',
          '$JS.API.STREAM.INFO.FLEET_LOG',
          '$JS.API.STREAM.NAMES',
          '$JS.API.CONSUMER.CREATE.FLEET_LOG',
          '$JS.API.CONSUMER.DURABLE.CREATE.FLEET_WORK.x',
          '$JS.API.INFO',
          '$SYS.REQ.SERVER.PING',
        ])
          await cannotAsk(subject);
        for (const subject of [
          '>',
          'FLEET_WORK.two',
          'FLEET_WORK.one',
          'FLEET_LOG.>',
          'FLEET.>',
          'FLEET.call.two',
          'FLEET.control.two',
          'FLEET.model',
          'FLEET.stage.two.*',
          'FLEET.pages.two',
          '$KV.FLEET_BOARDS.>',
          '_INBOX_two.>',
          '_INBOX_gateway.>',
          '$JS.ACK.>',
        ])
          await cannotHear(subject);
      });

      it("writes nobody else's tokens, leases or requests, and tells no board what to do", async () => {
        for (const subject of [
          'FLEET_LOG.tok.two.0123',
          'FLEET_LOG.begun.two.0123',
          'FLEET_LOG.end.two.0123',
          'FLEET_LOG.req.0123',
          '$KV.FLEET_BOARDS.two',
          '$KV.FLEET_PLANS.1',
          '$JS.API.STREAM.PURGE.KV_FLEET_PLANS',
          'FLEET.stage.two.three',
          'FLEET.stage.one.two',
          'FLEET.pages.two',
          'FLEET_WORK.one',
          'FLEET_WORK.two',
          'FLEET.call.two',
          'FLEET.call.one',
          'FLEET.control.two',
          '$JS.ACK.FLEET_WORK.two.1.1.1.1.0',
        ])
          await cannotAsk(subject);
      });

      it('deletes and changes no stream', async () => {
        for (const stream of ['FLEET_WORK', 'FLEET_LOG', 'KV_FLEET_BOARDS'])
          for (const call of ['DELETE', 'PURGE', 'UPDATE', 'MSG.DELETE', 'SNAPSHOT'])
            await cannotAsk(`$JS.API.STREAM.${call}.${stream}`);
        await cannotAsk('$JS.API.STREAM.CREATE.MINE', '{"name":"MINE"}');
        await cannotAsk('$JS.API.CONSUMER.DELETE.FLEET_WORK.two');
      });

      it('has the broker delete and change nothing by its own answers either', async () => {
        const questions = [
          ['FLEET.api.DIRECT.GET.KV_FLEET_PLANS', '{"last_by_subj":"nothing"}'],
          ['FLEET.api.CONSUMER.MSG.NEXT.FLEET_WORK.one', '{"no_wait":true,"batch":1}'],
          ['FLEET.api.CONSUMER.INFO.FLEET_WORK.one', ''],
          [`FLEET_LOG.tok.one.${'0'.repeat(32)}`, 'x'],
        ] as const;
        const replies = ['FLEET_LOG', 'FLEET_WORK', 'KV_FLEET_BOARDS', 'KV_FLEET_PLANS'].flatMap((stream) =>
          ['DELETE', 'PURGE', 'MSG.DELETE'].flatMap((call) =>
            ['$JS.API', 'FLEET.api'].map((api) => `${api}.STREAM.${call}.${stream}`),
          ),
        );
        replies.push('$JS.API.CONSUMER.DELETE.FLEET_WORK.two');
        for (const reply of replies)
          for (const [subject, body] of questions) thief.publish(subject, body, { reply });
        await thief.flush();
        const owner = await connectRaw({
          servers: broker.url,
          authenticator: nkeyAuthenticator(readFileSync(file('gateway.nk')).subarray(0, 58)),
        });
        const ask = async (method: string) =>
          (await owner.request(`$JS.API.${method}`, '', { timeout: 5_000 })).json<{
            state?: { messages: number };
          }>();
        for (const stream of ['FLEET_LOG', 'KV_FLEET_BOARDS'])
          expect((await ask(`STREAM.INFO.${stream}`)).state?.messages).toBeGreaterThan(0);
        expect(await ask('CONSUMER.INFO.FLEET_WORK.two')).not.toHaveProperty('error');
        await owner.close();
        expect(await model.generate(PROMPT, OPTIONS).text()).not.toBe('');
      });

      it("takes no other board's lease, nor its room", async () => {
        const hdrs = headers();
        hdrs.set('Nats-Rollup', 'all');
        const lease = async (size: number, options = {}) =>
          (
            await thief.request('$KV.FLEET_BOARDS.one', 'x'.repeat(size), { timeout: 5_000, ...options })
          ).json();
        expect(await lease(1, { headers: hdrs })).toHaveProperty('error');
        // As much as the whole bucket takes, beside what is there.
        for (let size = 1_048_000; size > 1_000_000; size -= 1_000)
          expect(await lease(size)).toHaveProperty('error');
        // What is new of the other one is heard.
        for (const undo of [[], ['--undo']])
          expect((await run('drain', 'two', ...undo, ...fleet('admin'))).status).toBe(0);
        expect(await states()).toContain('two ready loaded');
      });

      it('keeps no other board from storing its tokens by their ids', async () => {
        expect((await run('drain', 'one', ...fleet('admin'))).status).toBe(0);
        const { redelivered } = await operator.fleetStatus();
        const options = { maxTokens: 6, temperature: 0, ignoreEos: true };
        const generation = model.generate(PROMPT, options);
        // It knows the request, as where it had it before, and what its next deliveries are likely to be.
        for (let term = 1; term <= 3; term++)
          for (let delivery = 1; delivery <= 60; delivery++)
            for (let token = 0; token < options.maxTokens; token++) {
              const hdrs = headers();
              const subject = `tok.two.${generation.id}`;
              hdrs.set('Nats-Msg-Id', `${subject}/${generation.id}.${term}.${delivery}.two.${token}`);
              thief.publish(`FLEET_LOG.tok.one.${'0'.repeat(32)}`, '', { headers: hdrs });
            }
        await thief.flush();
        await using alone = await openMock();
        const reference = await alone.models.upload(TINY_MODEL);
        expect(await generation.text()).toBe(await reference.generate(PROMPT, options).text());
        expect((await operator.fleetStatus()).redelivered).toBe(redelivered);
        expect((await run('drain', 'one', '--undo', ...fleet('admin'))).status).toBe(0);
      });

      it('puts nothing into a running answer under its own name either', async () => {
        const generation = model.generate(PROMPT, { maxTokens: 40, temperature: 0, ignoreEos: true });
        await generation.admitted;
        // What it may write names requests that it never had, with ids and bytes of its own choice, and answers sent to others' subjects.
        for (const kind of ['begun', 'tok', 'end']) {
          const hdrs = headers();
          const subject = `${kind}.one.${'0'.repeat(32)}`;
          hdrs.set('Nats-Msg-Id', `${subject}/x`);
          thief.publish(`FLEET_LOG.${subject}`, 'rubbish', {
            headers: hdrs,
            reply: 'FLEET_LOG.tok.two.0123',
          });
        }
        thief.publish('FLEET.model', 'rubbish', { reply: 'FLEET_LOG.tok.two.0123' });
        await thief.flush();
        await using alone = await openMock();
        const reference = await alone.models.upload(TINY_MODEL);
        expect(await generation.text()).toBe(
          await reference.generate(PROMPT, { maxTokens: 40, temperature: 0, ignoreEos: true }).text(),
        );
        expect((await operator.fleetStatus()).diverged).toBe(0);
      });

      // The last: the key is no member's any more.
      it('is thrown out once it is withdrawn, and its board with it; with a new key that comes back', async () => {
        const closed = thief.closed();
        expect(await run('enrol', 'one', '--remove', ...users())).toMatchObject({ status: 0 });
        await closed;
        await vi.waitFor(async () => expect(await states()).toEqual(['two ready loaded']), WAIT);
        await expect(
          connectRaw({
            servers: broker.url,
            authenticator: nkeyAuthenticator(readFileSync(file('one.nk')).subarray(0, 58)),
            reconnect: false,
          }),
        ).rejects.toThrow(/uthorization/);
        const other = (await run('key', file('again.nk'))).stdout.trim();
        expect(await run('enrol', 'two', other, ...users())).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('FLEET_ENROLLED'),
        });
        expect(await run('enrol', 'one', other, ...users())).toMatchObject({ status: 0 });
        await agents.get('one')![Symbol.asyncDispose]();
        writeFileSync(file('one.nk'), readFileSync(file('again.nk')));
        await start('one');
        await vi.waitFor(
          async () => expect(await states()).toEqual(['one ready loaded', 'two ready loaded']),
          WAIT,
        );
      });
    });
  },
);
