export type * from './bus.js';
export { InProcessBroker } from './in-process/broker.js';
export { type Lease, takeLease } from './lease.js';
export { connectNats, type NatsOptions } from './nats/connect.js';
export { createKey, ownKey } from './nats/credentials.js';
export { type KeyRights, keyPermissions, userEntry } from './nats/permissions.js';
export { type LeaseEvent, type LeaseWatch, watchLeases } from './watch-leases.js';
