import type { Bus } from '../bus.js';
import { HEADER_ROOM } from '../checks.js';
import { InProcessBus } from './bus.js';
import { BrokerState } from './state.js';

/** A broker inside this process, gone with it: for a fleet of mocks, and what tests need of one. */
export class InProcessBroker {
  readonly #state: BrokerState;

  /** @param maxPayload bytes of a message at most; as nats-server's if not given */
  constructor(maxPayload = (1 << 20) - HEADER_ROOM) {
    this.#state = new BrokerState(maxPayload);
  }

  /** A connection of its own: closing it ends nobody else's. @param name for people */
  connect(name = 'in process'): Bus {
    return new InProcessBus(this.#state, name);
  }
}
