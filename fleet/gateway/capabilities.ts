/** What a fleet can do, as sent in the reply to hello. */
export const FLEET_CAPABILITIES = [
  'models',
  'upload',
  'generate',
  'continue',
  'score',
  'metrics',
  'pieces',
  'client-path',
  'find',
  'memory',
  'check',
  'traceparent',
  'board-metrics',
  'fleet',
  'fleet-operations',
] as const;
