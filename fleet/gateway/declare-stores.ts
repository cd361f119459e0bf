import type { Bus } from '../../bus/index.js';
import { BOARDS, LOG, PLANS, WORK_QUEUE } from '../subjects.js';

/** Prompts and answers are readable by whoever reads the broker's disk: not for longer than they may be needed. */
const MAX_AGE_MS = 3_600_000;
const DUPLICATES_MS = 120_000;

/** Makes what a fleet has on its bus. @throws PynqLlmError BUS_... */
export async function declareStores(bus: Bus): Promise<void> {
  const limits = { maxAgeMs: MAX_AGE_MS, duplicateWindowMs: DUPLICATES_MS };
  await bus.declareQueue({
    ...limits,
    name: WORK_QUEUE,
    maxBytes: 64 * 2 ** 20,
    // It is the lease that says that a board is gone: this is for messages that were lost on their way to one that lives.
    ackWaitMs: 30_000,
    maxDeliveries: 1_000,
  });
  await bus.declareLog({ ...limits, name: LOG, maxBytes: 128 * 2 ** 20 });
  await bus.declareBucket({ name: BOARDS, maxBytes: 2 ** 20 });
  await bus.declareBucket({ name: PLANS, maxBytes: 2 ** 20 });
}
