export type * from './bus.js';
export { InProcessBroker } from './in-process/broker.js';
export { Lease, type LeaseOptions, takeLease } from './lease.js';
export { type LeaseEvent, type LeaseWatch, watchLeases } from './watch-leases.js';
