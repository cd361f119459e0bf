import type { Msg } from '@nats-io/transport-node';
import type { PynqLlmError } from '../../errors/index.js';
import type { SubscribeOptions, Subscription } from '../bus.js';
import { deferred } from '../deferred.js';
import type { NatsLink } from './link.js';

/** Subscribes on a broker, again on each new connection. @param dropped counts what found no room */
export function subscribed(
  link: NatsLink,
  pattern: string,
  { group, onError }: SubscribeOptions,
  hear: (message: Msg) => void,
  dropped: () => number,
): Subscription {
  const ready = deferred<void>();
  // Who does not look at it must not end the process by it.
  ready.promise.catch(() => {});
  const close = link.attach({
    start(connection) {
      const subscription = connection.subscribe(pattern, {
        ...(group !== undefined && { queue: group }),
        callback: (error, message) => {
          if (!error) hear(message);
        },
      });
      // A refusal comes before the answer to the flush.
      connection.flush().then(
        () => {
          if (!subscription.isClosed()) ready.resolve();
        },
        () => {},
      );
      return subscription;
    },
    refused(error: PynqLlmError) {
      ready.reject(error);
      onError?.(error);
    },
  });
  return {
    get dropped() {
      return dropped();
    },
    ready: ready.promise,
    close,
  };
}
