import type { Readable } from 'node:stream';
import type { Admission } from '../access/index.js';
import type { PynqLlmError } from '../errors/index.js';
import { silentLog } from '../listen/index.js';
import { systemClock, type UploadRange } from '../protocol/index.js';
import { parseDeviceUrl } from './boards/open-board.js';
import { AgentCore } from './session/core.js';
import { defaultStoreDir } from './session/home.js';
import { scratchDirectory } from './session/scratch.js';
import type { SessionHost } from './session/session-host.js';
import { ModelStore } from './store/model-store.js';

export { FAULTS, type FaultName } from './boards/open-board.js';

/** What a client in the same process is told. */
export interface InProcessEvents {
  /** Takes frames from the agent. */
  readonly onFrame: (frame: Uint8Array) => void;
  /** Told when the agent ends the session. */
  readonly onClose: (reason: PynqLlmError) => void;
}

export interface InProcessOptions extends InProcessEvents {
  readonly device: string;
  readonly storeDir: string | undefined;
  readonly threads: number | undefined;
}

/** The two ends of frames between a client and an agent in the same process. */
export interface InProcessAgent {
  /** Gives a frame to the agent. */
  send(frame: Uint8Array): void;
  /** Gives bytes of an upload to the agent; resolves when they are written. @throws PynqLlmError as the agent refuses them */
  sendUpload(id: string, range: UploadRange, body: Readable): Promise<void>;
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
    threads: options.threads,
    clock: systemClock,
    log: silentLog,
    isEmbedded: true,
  });
  const { send, sendUpload, close } = connectInProcess(core, options);
  return {
    send,
    sendUpload,
    close: async () => {
      await close();
      await core.close();
    },
  };
}

const ADMISSION: Admission = { role: 'admin', share: [] };

/**
 * A session with every right for a client in the host's own process. It says itself whose share each of its requests uses:
 * what it names is not inside of a share of its own. Frames arrive later, as from a socket: neither side runs inside the
 * other's call.
 */
export function connectInProcess(host: SessionHost, { onFrame, onClose }: InProcessEvents): InProcessAgent {
  const session = host.openSession(
    {
      send: (frame) => queueMicrotask(() => onFrame(frame)),
      close: (reason) => queueMicrotask(() => onClose(reason)),
    },
    () => ADMISSION,
  );
  return {
    send: (frame) => queueMicrotask(() => session.receive(frame)),
    sendUpload: (id, range, body) => host.uploadBodies.receive(id, range, ADMISSION, () => body),
    close: async () => session.close(),
  };
}
