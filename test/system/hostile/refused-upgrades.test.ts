import { describe, expect, it } from 'vitest';
import { type Dialed, dial } from './support/dial.js';
import { ENDINGS, REFUSED, upgradeRequest } from './support/upgrades.js';
import { KINDS, startVictim, titleOf, type Victim } from './support/victim.js';

const CONNECTIONS = 500;
/** Connections at a time: fewer than an address may have that has not said hello. */
const LANES = 3;
/** Not the address that clients come from. */
const FROM = '127.0.0.2';

describe.each(KINDS.map((kind) => [titleOf(kind), kind] as const))('%s', (_, kind) => {
  it(`outlives ${CONNECTIONS} refused upgrades, however their peers end them, and lets clients in`, async () => {
    await using victim = await startVictim(kind);
    await attack(victim);
    await victim.isWell();
  });

  it('lets clients in although peers of refused upgrades never close', async () => {
    await using victim = await startVictim(kind);
    const dialed: Dialed[] = [];
    try {
      for (let i = 0; i < 150; i++) {
        dialed.push(await dial(victim.place, { from: `127.0.0.${2 + (i % 8)}` }));
        await dialed[i].send(upgradeRequest({ origin: 'https://evil.example' }));
      }
      // Those that were refused make room, though nobody closes them but the victim.
      const looks = () => victim.isWell().then(() => 'well', String);
      await expect.poll(looks, { timeout: 20_000 }).toBe('well');
    } finally {
      for (const one of dialed) one[Symbol.dispose]();
    }
  });
});

async function attack(victim: Victim): Promise<void> {
  const requests = Object.entries(REFUSED);
  const endings = Object.entries(ENDINGS);
  let next = 0;
  const lane = async () => {
    while (next < CONNECTIONS) {
      const number = next++;
      const [request, bytes] = requests[number % requests.length];
      const [ending, leave] = endings[Math.floor(number / requests.length) % endings.length];
      using dialed = await dial(victim.place, { from: FROM });
      await dialed.send(bytes);
      await leave(dialed);
      const { exitCode, signalCode } = victim.process.child;
      if (exitCode === null && signalCode === null) continue;
      const last = `the last of ${number + 1}: ${request}, whose peer ${ending}`;
      throw new Error(`the process ended (${last}):\n${victim.process.log().slice(-2_000)}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
