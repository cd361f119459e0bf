import { execFile } from 'node:child_process';
import type { Log } from '../../listen/index.js';

/** So often within the time that systemd allows. */
const FEEDS = 4;

/**
 * Tells systemd now and then that the main thread turns (sd_notify(3): WATCHDOG=1), where the unit has a watchdog. Node
 * has no datagram sockets of Unix, so systemd's own program says it.
 * @returns to be disposed of when the agent ends
 */
export function feedWatchdog(log: Log, environment: NodeJS.ProcessEnv = process.env): Disposable {
  const { WATCHDOG_USEC: microseconds, NOTIFY_SOCKET: socket } = environment;
  if (microseconds === undefined || socket === undefined || !(Number(microseconds) > 0))
    return { [Symbol.dispose]: () => undefined };
  const everyMs = Number(microseconds) / 1000 / FEEDS;
  let isFeeding = false;
  const feed = () => {
    // One that does not end must not become many.
    if (isFeeding) return;
    isFeeding = true;
    execFile(
      'systemd-notify',
      ['WATCHDOG=1'],
      { env: environment, timeout: everyMs * 2, killSignal: 'SIGKILL' },
      (error) => {
        isFeeding = false;
        if (error !== null) log.warn({ err: error }, 'systemd did not take the sign of life');
      },
    );
  };
  feed();
  const timer = setInterval(feed, everyMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
