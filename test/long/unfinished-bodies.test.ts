import { describe, expect, it } from 'vitest';
import { dial } from '../system/hostile/support/dial.js';
import { startVictim, TOKENS, type VictimKind } from '../system/hostile/support/victim.js';

/** A request's body is there within 30 s; the rest is for slow machines. */
const BODY_MS = 30_000 + 3_000;
/** Nobody is closed earlier than this. */
const SURELY_OPEN_MS = 2_000;
const UNFINISHED =
  'POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n' +
  `authorization: Bearer ${TOKENS.infer}\r\ncontent-length: 1000\r\n\r\n{"model":`;

const VICTIMS: readonly (readonly [string, VictimKind])[] = [
  ['an agent', { program: 'agent', over: 'tcp', tokens: true }],
  ['an agent with TLS', { program: 'agent', over: 'tls', tokens: true }],
  ['pynq-llm serve', { program: 'serve', over: 'tcp', tokens: true }],
];

describe.concurrent.each(VICTIMS)('%s', (_, kind) => {
  it('ends the connection of a request with a token that stops in its body in time', async () => {
    await using victim = await startVictim(kind);
    using stranger = await dial(victim.place);
    await stranger.send(UNFINISHED);
    expect(await stranger.closed(SURELY_OPEN_MS)).toBe(false);
    expect(await stranger.closed(BODY_MS - SURELY_OPEN_MS)).toBe(true);
    await victim.isWell();
  });
});
