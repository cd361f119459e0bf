import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Bus, InProcessBroker, type Lease, takeLease } from '../../../../bus/index.js';
import { Boards } from '../../../../fleet/gateway/boards.js';
import { declareStores } from '../../../../fleet/gateway/declare-stores.js';
import { BOARDS } from '../../../../fleet/subjects.js';
import { silentLog } from '../../../../listen/index.js';
import { recordOf } from './placing-world.js';

/** Renewed every third of it. */
const LEASE_MS = 300;

let bus: Bus;
let boards: Boards;
let errors: string[];
const leases: Lease[] = [];
beforeEach(async () => {
  errors = [];
  bus = new InProcessBroker().connect('gateway');
  await declareStores(bus);
  const error = ({ err }: { err: Error }) => void errors.push(err.message);
  const nothing = () => {};
  const told = { onCome: nothing, onChange: nothing, onGone: nothing };
  boards = new Boards({ bus, log: { ...silentLog, error }, ...told });
});
afterEach(async () => {
  for (const lease of leases.splice(0)) await lease.release();
  boards.close();
  await bus.close();
});

/** A board whose key is for this name alone, as a broker's list of members has it. */
async function come(name: string, owner: string): Promise<Lease> {
  const value = recordOf(1e8, false);
  const lease = await takeLease(bus, bus.bucket(BOARDS), name, { owner, ttlMs: LEASE_MS, value, sole: true });
  leases.push(lease!);
  return lease!;
}

const seen = (name: string, owner: string) =>
  vi.waitFor(() => expect(boards.get(name)?.owner).toBe(owner), { timeout: 5_000, interval: 5 });

it('two boards with one key are found out, and told of once', async () => {
  await come('alone', 'other');
  await come('shelf-1', 'first');
  await seen('shelf-1', 'first');
  expect(boards.isContested('shelf-1')).toBe(false);
  await come('shelf-1', 'copy');
  await vi.waitFor(() => expect(boards.isContested('shelf-1')).toBe(true), { timeout: 5_000 });
  await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
  expect(errors).toEqual([expect.stringMatching(/FLEET_BOARD_NAME.*Two boards say to be shelf-1.* key/)]);
  expect(boards.isContested('alone')).toBe(false);
});

it('a board that comes again, or is heard again after a silence, is one', async () => {
  const first = await come('shelf-1', 'first');
  await seen('shelf-1', 'first');
  await first.release();
  await come('shelf-1', 'second');
  await seen('shelf-1', 'second');
  const entry = (await bus.bucket(BOARDS).get('shelf-1'))!;
  await leases.at(-1)!.release();
  await vi.waitFor(() => expect(boards.get('shelf-1')).toBeUndefined());
  await bus.bucket(BOARDS).put('shelf-1', entry.value);
  await seen('shelf-1', 'second');
  expect(boards.isContested('shelf-1')).toBe(false);
  expect(errors).toEqual([]);
});
