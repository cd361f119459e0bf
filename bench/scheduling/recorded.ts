import type { Arrival } from './workload.js';

export function recordedArrivals(): Arrival[] {
  return [];
}
