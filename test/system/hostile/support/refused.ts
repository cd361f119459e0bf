import { expect } from 'vitest';
import { type Dialed, dial } from './dial.js';
import { ENDINGS, REFUSED, upgradeRequest } from './upgrades.js';
import { startVictim, type Victim, type VictimKind } from './victim.js';

export const CONNECTIONS = 500;
/** Connections at a time: fewer than an address may have that has not said hello. */
const LANES = 3;
/** Not the address that clients come from. */
const FROM = '127.0.0.2';

/** Checks that a program lets clients in after refused upgrades whose peers end them in every way there is. */
export async function outlives(kind: VictimKind): Promise<void> {
  await using victim = await startVictim(kind);
  await attack(victim);
  await victim.isWell();
}

/** Checks that a program lets clients in although the peers of refused upgrades never close. */
export async function makesRoom(kind: VictimKind): Promise<void> {
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
}

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
