import { hostname } from 'node:os';
import {
  type AgentHandle,
  defaultStoreDir,
  type ListenOptions,
  ModelStore,
  nodeFs,
  serveHost,
} from '../agent/index.js';
import type { Bus } from '../bus/index.js';
import type { Log } from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import type { TensorMode } from './gateway/group-plans.js';
import { GatewayHost } from './gateway/host.js';
import type { PipelineMode } from './plan/assign.js';

export interface ServeFleetOptions extends ListenOptions {
  /** Connects to the fleet's broker. @throws PynqLlmError BUS_... */
  readonly bus: () => Promise<Bus>;
  /** The gateway's store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
  /** How many boards a model is cut over; each has all of it unless given. */
  readonly pipeline?: PipelineMode | undefined;
  /** How models are cut by rows. */
  readonly tensor?: TensorMode | undefined;
}

/**
 * Starts a gateway of a fleet, whose boards come over the bus: it leads, or stands by where another one does.
 * @throws PynqLlmError as serveHost, BUS_..., AGENT_STORE_FAILED
 */
export async function serveFleet(options: ServeFleetOptions): Promise<AgentHandle> {
  let gateway: GatewayHost | undefined;
  const open = async (log: Log) => {
    const bus = await options.bus();
    try {
      const store = await ModelStore.open(options.storeDir ?? defaultStoreDir(), nodeFs, log);
      const host = await GatewayHost.open({
        bus,
        store,
        clock: systemClock,
        log,
        pipeline: options.pipeline,
        tensor: options.tensor,
      });
      gateway = host;
      return host.closedBy(async () => {
        await host.close();
        await bus.close();
      });
    } catch (error) {
      await bus.close();
      throw error;
    }
  };
  const handle = await serveHost(options, open, { fleet: true });
  await gateway?.tellUrl(toldUrl(handle.url));
  return handle;
}

/** Where others find what listens at an address: one that stands for all of this machine's is nobody else's way to it. */
export function toldUrl(listening: string, machine: string = hostname()): string {
  const url = new URL(listening);
  if (url.hostname !== '0.0.0.0' && url.hostname !== '[::]') return listening;
  url.hostname = machine;
  return url.href.replace(/\/$/, '');
}
