import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BoardClient, Model, Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { ProcessFleet } from '../fleet/support/process-fleet.js';
import { TINY_MODEL } from './support/agent.js';
import { cli } from './support/cli.js';
import { noNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 60, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

describe.skipIf(noNatsServer !== undefined)('a fleet of processes over a broker', () => {
  const names = ['one', 'two'];
  let fleet: ProcessFleet;
  let board: BoardClient;
  let model: Model;
  beforeAll(async () => {
    fleet = await ProcessFleet.start({ names, logLevel: 'info' });
    board = fleet.client;
    model = await board.models.upload(TINY_MODEL);
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  it('gives many clients at once the text of one, and no request twice', async () => {
    const texts = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const all = Array.from({ length: 6 }, () =>
        model.generate(PROMPT, { maxTokens: 24, temperature: 0 }).text(),
      );
      for (const text of await Promise.all(all)) texts.add(text);
    }
    expect(texts.size).toBe(1);
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
  });

  it('says which board had a request of a trace, in the log of that board, and what each board counts', async () => {
    const trace = 'c0ffee'.padEnd(32, '7');
    const traceparent = `00-${trace}-b7ad6b7169203331-01`;
    await model.generate(PROMPT, { maxTokens: 5, temperature: 0, traceparent }).text();
    const told = () =>
      names.flatMap((name) =>
        fleet
          .board(name)
          .log()
          .split('\n')
          .filter((line) => line.includes(trace))
          .map((line) => ({ name, ...JSON.parse(line) })),
      );
    await vi.waitFor(() => expect(told()).toHaveLength(2), 20_000);
    const [ended, onBoard] = told();
    expect(ended).toMatchObject({ msg: 'generation ended', trace, tokens: 5, reason: 'max-tokens' });
    expect(onBoard).toMatchObject({
      msg: 'a request ended on this board',
      trace,
      board: ended.name,
      tokens: 5,
    });
    const { boards = [], steps } = await board.metrics();
    expect(boards.map(({ name }) => name)).toEqual(['one', 'two']);
    for (const { roundTripMs } of boards) expect(roundTripMs).toBeGreaterThan(0);
    expect(boards.reduce((sum, { engine }) => sum + (engine?.steps ?? 0), 0)).toBe(steps);
  });

  it('gives the tokens of one board, also where a board is killed meanwhile', async () => {
    await using alone = await openMock();
    const reference = await alone.models.upload(TINY_MODEL);
    const expected: Token[] = [];
    for await (const token of reference.generate(PROMPT, OPTIONS)) expected.push(token);
    const tokens: Token[] = [];
    let killed: string | undefined;
    for await (const token of model.generate(PROMPT, OPTIONS)) {
      tokens.push(token);
      if (token.index !== 20) continue;
      const { boards } = await board.fleetStatus();
      killed = boards.find(({ inHand }) => inHand > 0)?.name;
      if (killed !== undefined) void fleet.kill(killed);
    }
    expect(killed).toBeDefined();
    expect(tokens).toEqual(expected);
    const after = await board.fleetStatus();
    expect(after).toMatchObject({ redelivered: 1, diverged: 0 });
    expect(after.boards).toHaveLength(1);
  });

  it('tells on the command line which boards it has', async () => {
    const shown = await cli(['fleet', 'status', '--device', fleet.url], { home: fleet.homeOf('laptop') });
    expect(shown.stdout).toMatch(/^(one|two) +PYNQ-Z1.* ready +0 of 8 +[0-9a-f]{12} loaded$/m);
    expect(shown.status).toBe(0);
  });
});
