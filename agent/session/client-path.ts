import type { ServiceOptions } from '../../protocol/index.js';

/**
 * Whose a request is, for the scheduler: the session's share first, which its client cannot choose, then what the client says,
 * which divides that share.
 * @param session its number, for who says nothing
 */
export function clientPath(
  share: readonly string[],
  session: number,
  service: ServiceOptions | undefined,
): readonly string[] {
  const names = service?.client ?? `session ${session}`;
  return [...share, ...(typeof names === 'string' ? [names] : names)];
}
