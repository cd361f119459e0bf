import { join } from 'node:path';
import { openEmbedded } from '../agent/in-process.js';
import {
  type AgentHandle,
  defaultStoreDir,
  type ListenOptions,
  ModelStore,
  nodeFs,
  serveHost,
} from '../agent/index.js';
import { InProcessBroker } from '../bus/index.js';
import type { Log } from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import type { TensorMode } from './gateway/group-plans.js';
import { GatewayHost } from './gateway/host.js';
import { makeIdentity } from './links/identity.js';
import { LinkPort } from './links/link-port.js';
import { Member } from './member/member.js';
import type { PipelineMode } from './plan/assign.js';

/** Nothing in one process dies alone: what looks like it is a pause of the process. */
const LEASE_MS = 30_000;

export interface MockFleetOptions extends ListenOptions {
  /** How many boards. */
  readonly mocks: number;
  /** `mock:...`, of each. */
  readonly device: string;
  /** The gateway's store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
  /** Whether each board has a store of its own in it, and fetches models as a real board does; they share the gateway's unless told. */
  readonly ownStores?: boolean | undefined;
  /** Threads that compute beside each mock; 1 unless given. */
  readonly threads?: number | undefined;
  /** How many boards a model is cut over; each has all of it unless given. */
  readonly pipeline?: PipelineMode | undefined;
  /** How models are cut by rows: the boards then have links, over this machine's network. */
  readonly tensor?: TensorMode | undefined;
}

/**
 * Starts a fleet of mocks in this process, without a broker of its own: what a user's fleet does, but for the network.
 * @throws PynqLlmError as serveHost, AGENT_DEVICE_URL, AGENT_DEVICE_FAILED, AGENT_STORE_FAILED
 */
export function startMockFleet(options: MockFleetOptions): Promise<AgentHandle> {
  const {
    mocks,
    device,
    storeDir = defaultStoreDir(),
    ownStores = false,
    threads = 1,
    pipeline,
    tensor,
  } = options;
  const open = async (log: Log) => {
    const broker = new InProcessBroker();
    const parts: (() => Promise<void>)[] = [];
    const close = async () => {
      // What was started last ends first.
      for (const end of parts.splice(0).reverse()) await end();
    };
    try {
      const bus = broker.connect('gateway');
      parts.push(() => bus.close());
      const store = await ModelStore.open(storeDir, nodeFs, log);
      const gateway = await GatewayHost.open({
        bus,
        store,
        clock: systemClock,
        log,
        leaseMs: LEASE_MS,
        pipeline,
        tensor,
      });
      parts.push(() => gateway.close());
      const boards = Array.from({ length: mocks }, (_, i) => `mock-${i + 1}`);
      await Promise.all(
        boards.map(async (name) => {
          const own = ownStores ? join(storeDir, 'boards', name) : storeDir;
          const agent = await openEmbedded({ device, storeDir: own, threads });
          parts.push(() => agent.close());
          const line = broker.connect(name);
          parts.push(() => line.close());
          const host = '127.0.0.1';
          const port = tensor && (await LinkPort.open(makeIdentity(), 0, host));
          if (port !== undefined) parts.push(() => port.close());
          const links = port && { port, address: port.addressAt(host) };
          const member = await Member.join({ bus: line, name, agent, log, leaseMs: LEASE_MS, links });
          parts.push(() => member.close());
        }),
      );
      return gateway.closedBy(close);
    } catch (error) {
      await close();
      throw error;
    }
  };
  return serveHost(options, open, { fleet: `${mocks} of ${device}` });
}
