import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PynqLlmError } from '../errors/index.js';
import { systemClock } from '../protocol/index.js';
import { AgentCore } from './core.js';
import { defaultStoreDir } from './home.js';
import { silentLog } from './log.js';
import { parseDeviceUrl } from './open-board.js';
import { ModelStore } from './store/model-store.js';

export interface InProcessOptions {
  readonly device: string;
  readonly storeDir: string | undefined;
  /** Takes frames from the agent. */
  readonly onFrame: (frame: Uint8Array) => void;
  /** Told when the agent ends the session. */
  readonly onClose: (reason: PynqLlmError) => void;
}

/** The two ends of frames between a client and an agent in the same process. */
export interface InProcessAgent {
  /** Gives a frame to the agent. */
  send(frame: Uint8Array): void;
  close(): Promise<void>;
}

/**
 * Runs the agent inside the calling process for one client: the same sessions and the same worker, without a socket.
 * @throws PynqLlmError AGENT_DEVICE_URL, AGENT_STORE_FAILED
 */
export async function openInProcess(options: InProcessOptions): Promise<InProcessAgent> {
  parseDeviceUrl(options.device);
  const core = new AgentCore({
    device: options.device,
    store: await ModelStore.open(options.storeDir ?? defaultStoreDir()),
    scratch: scratchDirectory(),
    kv: {},
    clientWeights: new Map(),
    clock: systemClock,
    log: silentLog,
  });
  // Frames arrive later, as from a socket: neither side runs inside the other's call.
  const session = core.openSession(
    {
      send: (frame) => queueMicrotask(() => options.onFrame(frame)),
      close: (reason) => queueMicrotask(() => options.onClose(reason)),
    },
    () => 'admin',
  );
  return {
    send: (frame) => queueMicrotask(() => session.receive(frame)),
    close: async () => {
      session.close();
      await core.close();
    },
  };
}

/** A directory of this process's own for traces; made when it is needed. */
export function scratchDirectory(): string {
  return join(tmpdir(), `pynq-llm-${process.pid}-${randomBytes(8).toString('hex')}`);
}
