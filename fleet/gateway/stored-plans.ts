import type { Bus, KeyEntry } from '../../bus/index.js';
import { PLANS } from '../subjects.js';

/** The plans that are written down, as they are now. @throws PynqLlmError BUS_... */
export async function* storedPlans(bus: Bus): AsyncGenerator<KeyEntry> {
  const ended = new AbortController();
  try {
    for await (const event of bus.bucket(PLANS).watch({ signal: ended.signal })) {
      if (event.kind === 'ready') return;
      if (event.kind === 'value') yield event;
    }
  } finally {
    ended.abort();
  }
}

/** Deletes all plans: a gateway that cuts nothing has none. @throws PynqLlmError BUS_... */
export async function deletePlans(bus: Bus): Promise<void> {
  for await (const { key } of storedPlans(bus)) await bus.bucket(PLANS).delete(key);
}
