import type { Bus, KeyValue } from './bus.js';
import { decodeLease } from './lease-record.js';

/** What happens to leases. */
export type LeaseEvent =
  /** Taken, by this owner for the first time, or with another value; also what was there at the start. */
  | {
      readonly kind: 'live';
      readonly key: string;
      readonly owner: string;
      readonly value: string;
      readonly revision: number;
    }
  /** Not seen renewed for its time, or released. Who holds it may not know yet. */
  | {
      readonly kind: 'gone';
      readonly key: string;
      readonly owner: string;
      readonly why: 'expired' | 'released';
    }
  /** All that were there at the start have been told. */
  | { readonly kind: 'ready' };

export interface LeaseWatch {
  /** Resolves when it has ended, by `signal` or `close`. Rejects with what ended it otherwise: BUS_MISSING, BUS_NOT_PERMITTED, BUS_CLOSED. */
  readonly ended: Promise<void>;
  close(): void;
}
interface Seen {
  readonly owner: string;
  readonly value: string;
  readonly ttlMs: number;
  timer: NodeJS.Timeout;
}

/**
 * Tells which leases of `pattern` live. Ends are counted by this process's own timers from the last renewal that it saw: neither the clocks of others
 * nor a broker's expiry count. While the connection is down no lease ends, and after it each has its whole time again.
 */
export function watchLeases(
  bus: Bus,
  bucket: KeyValue,
  listener: (event: LeaseEvent) => void,
  pattern = '>',
): LeaseWatch {
  const closing = new AbortController();
  const leases = new Map<string, Seen>();

  const arm = (key: string, ttlMs: number) => {
    const timer = setTimeout(() => {
      // Renewals that came while the event loop was busy are read first.
      setImmediate(() => {
        const seen = leases.get(key);
        if (seen?.timer === timer && bus.connected) gone(key, 'expired');
      });
    }, ttlMs);
    timer.unref();
    return timer;
  };
  const gone = (key: string, why: 'expired' | 'released') => {
    const seen = leases.get(key);
    if (!seen) return;
    clearTimeout(seen.timer);
    leases.delete(key);
    listener({ kind: 'gone', key, owner: seen.owner, why });
  };
  const forget = bus.onConnection(() => {
    for (const [key, seen] of leases) {
      clearTimeout(seen.timer);
      seen.timer = arm(key, seen.ttlMs);
    }
  });

  const run = async () => {
    for await (const event of bucket.watch({ pattern, signal: closing.signal })) {
      if (event.kind === 'ready') {
        listener({ kind: 'ready' });
        continue;
      }
      const { key } = event;
      if (event.kind === 'deleted') {
        gone(key, 'released');
        continue;
      }
      const record = decodeLease(event.value);
      // What is no lease ends none: its holder writes over it.
      if (!record) continue;
      const before = leases.get(key);
      const { owner, value, ttlMs } = record;
      if (before && before.owner !== owner) gone(key, 'expired');
      else clearTimeout(before?.timer);
      leases.set(key, { owner, value, ttlMs, timer: arm(key, ttlMs) });
      if (before?.owner !== owner || before.value !== value)
        listener({ kind: 'live', key, owner, value, revision: event.revision });
    }
  };
  const ended = run().finally(() => {
    forget();
    for (const { timer } of leases.values()) clearTimeout(timer);
    leases.clear();
  });
  // Whoever does not look at `ended` must not end the process by it.
  ended.catch(() => {});
  return { ended, close: () => closing.abort() };
}
