import type { Bus } from '../../bus/index.js';
import { BOARDS, GATEWAY, LOG, MODELS, PLANS, WORK_QUEUE } from '../subjects.js';

/** Prompts and answers are readable by whoever reads the broker's disk: not for longer than they may be needed. */
const MAX_AGE_MS = 3_600_000;
const DUPLICATES_MS = 120_000;
/**
 * The broker keeps the id of each token for so long, in memory: a little longer than a board waits for the answer to one. What is
 * stored twice after a longer absence is dropped by who reads it.
 */
const LOG_DUPLICATES_MS = 15_000;

/** Of a board's lease: what it says of itself, 64 KiB at most, as a text in JSON. */
const MAX_LEASE_BYTES = 136 * 1_024;

/** Makes what a fleet has on its bus. @throws PynqLlmError BUS_... */
export async function declareStores(bus: Bus): Promise<void> {
  await bus.declareQueue({
    name: WORK_QUEUE,
    maxAgeMs: MAX_AGE_MS,
    duplicateWindowMs: DUPLICATES_MS,
    maxBytes: 64 * 2 ** 20,
    // It is the lease that says that a board is gone: this is for messages that were lost on their way to one that lives.
    ackWaitMs: 30_000,
    maxDeliveries: 1_000,
  });
  await bus.declareLog({
    name: LOG,
    maxAgeMs: MAX_AGE_MS,
    duplicateWindowMs: LOG_DUPLICATES_MS,
    maxBytes: 128 * 2 ** 20,
  });
  for (const name of [GATEWAY, MODELS, PLANS]) await bus.declareBucket({ name, maxBytes: 2 ** 20 });
  await bus.declareBucket({ name: BOARDS, maxBytes: 2 ** 20, maxValueBytes: MAX_LEASE_BYTES });
}
