import type { MethodName } from '../protocol/index.js';

/** What changes nothing and is no reading of a device at one moment, so that nobody minds being answered by the next connection. */
export const LOOKUPS: ReadonlySet<MethodName> = new Set<MethodName>([
  'board.info',
  'board.health',
  'models.list',
  'models.find',
  'models.get',
  'models.plan',
  'fleet.status',
  'fleet.advise',
  'metrics.read',
]);
