import { connect, createInbox, headers, nkeyAuthenticator, nkeys } from '@nats-io/transport-node';

/**
 * What is used of NATS's client, loaded by whoever connects: starts without a broker do not pay for it. Named one by one, since a bundle of a
 * CommonJS package that is imported late as a whole has no names.
 */
export const nats = { connect, createInbox, headers, nkeyAuthenticator, nkeys };
