import { isPynqLlmError } from '../errors/index.js';

/** What is asked may itself be what breaks connections. */
const ATTEMPTS = 3;

/** Whether a request failed because its connection ended, so that it may be made again on the next one. */
export function isBroken(error: unknown): boolean {
  return isPynqLlmError(error) && BROKEN.has(error.code);
}

const BROKEN: ReadonlySet<string> = new Set([
  'SDK_CONNECTION_LOST',
  'AGENT_CLIENT_STALLED',
  'AGENT_CLOSING',
  'FLEET_STANDBY',
]);

/**
 * Asks again, a few times, where the connection broke before there was an answer, as where another gateway of a fleet takes over.
 * @param isOver whether the connection that was asked is no more
 */
export async function askAgain<T>(ask: () => Promise<T>, isOver: () => boolean): Promise<T> {
  for (let left = ATTEMPTS; ; left--)
    try {
      return await ask();
    } catch (error) {
      if (left === 1 || !isOver() || !isBroken(error)) throw error;
    }
}
