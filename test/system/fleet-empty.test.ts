import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli, cliServer } from './support/cli.js';
import { type TestFleet, testFleet } from './support/fleet.js';
import { noNatsServer, TestNatsServer } from './support/nats-server.js';

const POLL = { timeout: 60_000, interval: 100 };

describe('a fleet without boards', () => {
  const directory = temporaryDirectory();
  const home = directory.path;
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await testFleet({ boards: 0 });
  });
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  it('is shown by what shows fleets, which says how a board joins', async () => {
    const status = await cli(['fleet', 'status', '--device', fleet.url], { home });
    expect(status).toMatchObject({ status: 0, stderr: '' });
    expect(status.stdout).toMatch(/^no board is there: .*--fleet/);
    const top = await cli(['fleet', 'top', fleet.url, '--once', '--interval', '0.3'], { home });
    expect(top).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('  0 boards\n') });
    const verify = await cli(['fleet', 'verify', '--device', fleet.url], { home });
    expect(verify).toMatchObject({ status: 1, stdout: 'the fleet has no boards\n' });
    const drain = await cli(['fleet', 'drain', 'shelf-1', '--device', fleet.url], { home });
    expect(drain).toMatchObject({ status: 1, stderr: expect.stringContaining('FLEET_BOARD_UNKNOWN') });
  });

  it('can be connected to where that is asked for, and tells who asks what it is why it cannot say so', async () => {
    await using client = await connect(fleet.url, { withoutBoards: true });
    expect((await client.fleetStatus()).boards).toEqual([]);
    expect(() => client.info).toThrow(expect.objectContaining({ code: 'FLEET_NO_BOARDS' }));
  });
});

it.skipIf(noNatsServer !== undefined)(
  'a gateway that starts before its boards serves at once, and has them load its models when they come',
  async () => {
    using directory = temporaryDirectory();
    await using broker = await TestNatsServer.start();
    const home = (name: string) => ({ home: `${directory.path}/${name}` });
    await using gateway = await cliServer(
      ['fleet', 'serve', '--bus', broker.url, '--port', '0', '--model', TINY_MODEL],
      home('gateway'),
    );
    await expect.poll(gateway.log, POLL).toContain('once a board has joined');
    const member = ['--fleet', broker.url, '--fleet-name', 'shelf-1'];
    const listen = ['--device', 'mock:', '--listen', 'ws://127.0.0.1:0', '--log-level', 'silent'];
    await using _board = await cliServer(['agent', ...listen, ...member], home('board'));
    await using client = await connect(gateway.url, { withoutBoards: true });
    const states = async () => (await client.fleetStatus()).boards.flatMap(({ models }) => models);
    await expect.poll(states, POLL).toMatchObject([{ state: 'loaded' }]);
  },
);
