import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { BoardClient, Model } from '../../sdk/index.js';
import { type Dialed, dial } from '../system/hostile/support/dial.js';
import { memoryGroup } from '../system/hostile/support/memory-group.js';
import { ENDINGS, REFUSED, upgradeRequest, webSocketHeader } from '../system/hostile/support/upgrades.js';
import { startVictim, TOKENS, type Victim, type VictimKind } from '../system/hostile/support/victim.js';
import { TINY_MODEL } from '../system/support/agent.js';

const KIND: VictimKind = { program: 'agent', over: 'tcp', tokens: true };
const MIB = 1_048_576;
const LIMIT_MIB = 200;
const SAMPLE_MS = 50;
/** Addresses that strangers come from, and connections at a time of each: fewer than have places. */
const ADDRESSES = 8;
const LANES = 12;
const SEND_MS = 3_000;

/** Runs `work`. @returns the most memory that the process had meanwhile */
async function mostMib(victim: Victim, work: () => Promise<void>): Promise<number> {
  let most = victim.residentMib();
  const sampler = setInterval(() => {
    most = Math.max(most, victim.residentMib());
  }, SAMPLE_MS);
  try {
    await work();
  } finally {
    clearInterval(sampler);
  }
  return Math.max(most, victim.residentMib());
}

it.skipIf(process.platform !== 'linux')(
  '60 strangers that send 16 MiB each get less than 64 MiB of an agent’s memory',
  async () => {
    await using victim = await startVictim(KIND);
    await victim.isWell();
    const before = victim.residentMib();
    const open: Dialed[] = [];
    const most = await mostMib(victim, async () => {
      await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const one = await dial(victim.place, { from: `127.0.0.${2 + (i % ADDRESSES)}` });
          open.push(one);
          await one.send(upgradeRequest());
          await one.answered(SEND_MS);
          await send(one, Buffer.concat([webSocketHeader(16 * MIB), Buffer.alloc(16 * MIB - 1)]));
        }),
      );
    }).finally(() => {
      for (const one of open) one[Symbol.dispose]();
    });
    expect(most - before).toBeLessThan(64);
    await victim.isWell();
  },
);

/** As much as is taken in a while. */
async function send(stranger: Dialed, bytes: Uint8Array | string): Promise<void> {
  await Promise.race([stranger.send(bytes), delay(SEND_MS)]);
}

const json = (path: string, body: string, headers = '') =>
  `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${headers}` +
  `content-length: ${body.length}\r\n\r\n${body}`;
const OBJECTS = `[${'{},'.repeat((4 * MIB) / 3 - 100)}{}]`;
const DEEP = '['.repeat(4 * MIB - 100);
const LONG = JSON.stringify({ model: 'tiny', prompt: 'once upon a time '.repeat(MIB / 17), max_tokens: 1 });
const bearer = `authorization: Bearer ${TOKENS.infer}\r\n`;

const STRANGERS: readonly (string | Uint8Array)[] = [
  ...Object.values(REFUSED),
  Buffer.concat([Buffer.from(upgradeRequest()), webSocketHeader(16 * MIB), Buffer.alloc(16 * MIB - 1)]),
  json('/v1/completions', OBJECTS),
  json('/v1/chat/completions', DEEP),
  `GET / HTTP/1.1\r\n${`x: ${'y'.repeat(1_000)}\r\n`.repeat(1_000)}`,
];
/** Of those who have a token for generating. */
const USERS: readonly string[] = [
  json('/v1/completions', OBJECTS, bearer),
  json('/v1/chat/completions', DEEP, bearer),
  json('/v1/completions', LONG, bearer),
];

/** So many connections, some at a time, each of which sends what is next and leaves as is next. */
async function attack(
  victim: Victim,
  connections: number,
  lanes: number,
  sent: readonly (string | Uint8Array)[],
) {
  const endings = Object.values(ENDINGS);
  let next = 0;
  const lane = async (number: number) => {
    while (next < connections) {
      const i = next++;
      using stranger = await dial(victim.place, { from: `127.0.0.${2 + (number % ADDRESSES)}` });
      await send(stranger, sent[i % sent.length]);
      await endings[Math.floor(i / sent.length) % endings.length](stranger);
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
}

/** What a known client sees while something goes on. */
interface Seen {
  readonly texts: ReadonlySet<string>;
  readonly tokensPerSecond: number;
  /** Between two tokens of a text. */
  readonly longestGapMs: number;
  /** Of asking for the agent's health, every 50 ms: its main thread answers that. */
  readonly longestAnswerMs: number;
}

async function watch(board: BoardClient, model: Model, work: () => Promise<void>): Promise<Seen> {
  let working = true;
  const texts = new Set<string>();
  let [tokens, longestGapMs, longestAnswerMs] = [0, 0, 0];
  const begun = performance.now();
  const generate = async () => {
    do {
      let text = '';
      let last = performance.now();
      for await (const token of model.generate('Once upon a time', {
        temperature: 0,
        maxTokens: 100,
        ignoreEos: true,
      })) {
        const now = performance.now();
        longestGapMs = Math.max(longestGapMs, now - last);
        last = now;
        tokens++;
        text += token.text;
      }
      texts.add(text);
    } while (working);
  };
  const ask = async () => {
    do {
      const asked = performance.now();
      await board.health();
      longestAnswerMs = Math.max(longestAnswerMs, performance.now() - asked);
      await delay(50);
    } while (working);
  };
  await Promise.all([
    work().finally(() => {
      working = false;
    }),
    generate(),
    ask(),
  ]);
  const seconds = (performance.now() - begun) / 1_000;
  return { texts, tokensPerSecond: tokens / seconds, longestGapMs, longestAnswerMs };
}

const group = memoryGroup(LIMIT_MIB);
const ways = {
  [`in a control group of ${LIMIT_MIB} MiB`]: 'missing' in group ? group.missing : undefined,
  [`whose memory is watched, ${LIMIT_MIB} MiB at most`]:
    process.platform === 'linux' ? undefined : 'only Linux tells it in /proc',
};
afterAll(() => {
  if (!('missing' in group)) group[Symbol.dispose]();
});

describe.each(Object.entries(ways))('an agent %s', (way, missing) => {
  describe.skipIf(missing !== undefined)(missing ?? 'under attack', () => {
    const inGroup = way.startsWith('in a');
    it.each([
      ['200 hostile strangers', 200, LANES, STRANGERS],
      ['12 hostile users', 12, 2, USERS],
    ] as const)(
      'survives %s while a client’s generations go on with equal text',
      async (_, count, lanes, sent) => {
        const options = inGroup && !('missing' in group) ? { within: group.within } : {};
        await using victim = await startVictim(KIND, options);
        await using board = await victim.enter();
        await board.models.store(TINY_MODEL, { name: 'tiny' });
        const model = await board.models.load('tiny');
        const before = await watch(board, model, () => delay(2_000));
        expect(before.texts.size).toBe(1);
        let seen = before;
        const most = await mostMib(victim, async () => {
          seen = await watch(board, model, () => attack(victim, count, lanes, sent));
        });
        const ratio = ((100 * seen.tokensPerSecond) / before.tokensPerSecond).toFixed(0);
        process.stderr.write(
          `${ratio} % of the tokens a second, gap ${seen.longestGapMs.toFixed(0)} ms (${before.longestGapMs.toFixed(0)} before), ` +
            `answer ${seen.longestAnswerMs.toFixed(0)} ms (${before.longestAnswerMs.toFixed(0)} before), ${most.toFixed(0)} MiB\n`,
        );
        await victim.isWell();
        expect([...seen.texts]).toEqual([...before.texts]);
        expect(seen.longestGapMs).toBeLessThan(2_000);
        expect(seen.longestAnswerMs).toBeLessThan(500);
        if (!inGroup) expect(most).toBeLessThan(LIMIT_MIB);
      },
    );
  });
});
