import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { connect, type Model, type Token } from '../../sdk/index.js';
import { TINY_MODEL, testAgent } from './support/agent.js';
import { type BreakingProxy, breakingProxy } from './support/breaking-proxy.js';
import { noSshd, startSshd, type TestSshd } from './support/sshd.js';

const TOKENS = { admin: 'a-token-of-an-administrator', read: 'a-token-for-reading' };
const title = `an agent's port behind SSH${noSshd === undefined ? '' : ` (${noSshd})`}`;

describe.skipIf(noSshd !== undefined)(title, () => {
  const { HOME: home } = process.env;
  let sshd: TestSshd;
  let proxy: BreakingProxy;
  let agent: AgentHandle;
  /** The agent's URL through the proxy. */
  let device: string;

  /** known_hosts for the server as it is now, seen through the proxy. */
  const knowHost = () => {
    const [, ...key] = sshd.knownHostsLine.split(' ');
    const name = `[127.0.0.1]:${new URL(proxy.url).port}`;
    writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), [name, ...key].join(' '));
  };
  const read = async (model: Model, onToken: (token: Token) => void = () => {}) => {
    const tokens: Token[] = [];
    for await (const token of model.generate('Once', { maxTokens: 60, seed: 5, ignoreEos: true })) {
      tokens.push(token);
      onToken(token);
    }
    return tokens;
  };

  beforeAll(async () => {
    sshd = await startSshd();
    proxy = await breakingProxy(`ws://127.0.0.1:${sshd.port}`);
    agent = await testAgent({ token: TOKENS });
    device = `ssh://${sshd.user}@127.0.0.1:${new URL(proxy.url).port}?port=${new URL(agent.url).port}`;
    process.env.HOME = sshd.home;
    knowHost();
  });
  afterAll(async () => {
    process.env.HOME = home;
    await agent?.close();
    await proxy?.[Symbol.asyncDispose]();
    await sshd?.[Symbol.asyncDispose]();
  });

  it('wants its token from those who log in as well, and gives the role of it', async () => {
    await expect(connect(device)).rejects.toMatchObject({ code: 'AGENT_UNAUTHORISED' });
    await using board = await connect(device, { token: TOKENS.read });
    expect(board.role).toBe('read');
  });

  it('loses and repeats no token when the connection breaks again and again', async () => {
    await using direct = await connect(agent.url, { token: TOKENS.admin });
    const expected = await read(await direct.models.upload(TINY_MODEL));
    await using board = await connect(device, { token: TOKENS.admin });
    const model = await board.models.upload(TINY_MODEL);
    const logins = proxy.connections;
    const tokens = await read(model, ({ index }) => {
      if (index % 20 === 10) proxy.breakNow();
    });
    expect(tokens).toEqual(expected);
    expect(proxy.connections).toBeGreaterThan(logins);
  });

  it('is not reached again through a server whose host key changed meanwhile', async () => {
    const events: string[] = [];
    const onConnection = ({ type }: { type: string }) => void events.push(type);
    await using board = await connect(device, { token: TOKENS.admin, onConnection });
    await sshd.changeHostKey();
    proxy.breakNow();
    await expect.poll(() => events).toEqual(['lost']);
    await expect(board.health()).rejects.toMatchObject({ code: 'SSH_HOST_KEY_CHANGED' });
    await expect(connect(device, { token: TOKENS.admin })).rejects.toMatchObject({
      code: 'SSH_HOST_KEY_CHANGED',
    });
    knowHost();
    await using again = await connect(device, { token: TOKENS.admin });
    expect((await again.health()).state).toBe('ready');
  });
});
