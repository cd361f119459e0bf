import type { Log } from '../listen/index.js';
import { type CoreTypes, systemClock } from '../protocol/index.js';
import { parseDeviceUrl } from './boards/open-board.js';
import { type AgentHandle, type ListenOptions, serveHost } from './serve-host.js';
import { AgentCore } from './session/core.js';
import { defaultStoreDir } from './session/home.js';
import { removeOldScratch, scratchDirectory } from './session/scratch.js';
import type { AgentStages } from './session/stages.js';
import { ModelStore } from './store/model-store.js';
import { nodeFs } from './store/store-fs.js';
import type { KvSettings } from './worker-link/kv-settings.js';

export type { AgentHandle } from './serve-host.js';

export interface AgentOptions extends ListenOptions {
  /** `mock:`, `mock:NAME` or `mock:FILE.toml`. */
  readonly device: string;
  /** Directory of the model store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
  /** How keys and values are kept where who loads a model does not say. */
  readonly kv?: KvSettings | undefined;
  /** Parts of the board that clients of these names have, relative to the others' 1. */
  readonly clientWeights?: ReadonlyMap<string, number> | undefined;
  /** Compares after each MatMul how long the core computed with how long that takes; false unless given. */
  readonly checkCycles?: boolean | undefined;
  /** Threads that compute beside the device, the engine's among them, from 1 to 64; as many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** Which matrices of a model go to the core, where who loads it does not say. */
  readonly coreTypes?: CoreTypes | undefined;
  /** Milliseconds without progress after which the busy device worker is ended and started again; 2 minutes. */
  readonly hangMs?: number | undefined;
}

/** An agent as the fleet's part of the same process sees it. */
export interface ServedAgent extends AgentHandle {
  /** Models of which its board has some layers alone. */
  readonly stages: AgentStages;
}

/**
 * Starts an agent: serves one device to clients.
 * @throws PynqLlmError AGENT_LISTEN_ADDRESS, AGENT_LISTEN_FAILED, AGENT_TOKEN_INVALID, AGENT_TLS, AGENT_DEVICE_URL,
 *   AGENT_STORE_FAILED; a device that cannot be opened is reported to clients and tried again
 */
export function startAgent(options: AgentOptions): Promise<AgentHandle> {
  return serveAgent(options);
}

/** As {@link startAgent}, for who brings hidden states from board to board. */
export async function serveAgent(options: AgentOptions): Promise<ServedAgent> {
  let core: AgentCore | undefined;
  const open = async (log: Log) => {
    parseDeviceUrl(options.device);
    await removeOldScratch(log);
    core = new AgentCore({
      device: options.device,
      store: await ModelStore.open(options.storeDir ?? defaultStoreDir(), nodeFs, log),
      scratch: scratchDirectory(),
      kv: options.kv ?? {},
      clientWeights: options.clientWeights ?? new Map(),
      checkCycles: options.checkCycles,
      threads: options.threads,
      coreTypes: options.coreTypes,
      clock: systemClock,
      log,
      hangMs: options.hangMs,
    });
    return core;
  };
  const handle = await serveHost(options, open, { device: options.device });
  if (core === undefined) throw new Error('what is served was opened');
  return { ...handle, stages: (core as AgentCore).stages };
}
