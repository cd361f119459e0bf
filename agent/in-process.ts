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

export interface EmbeddedOptions {
  readonly device: string;
  readonly storeDir: string | undefined;
  readonly threads: number | undefined;
}

export interface InProcessOptions extends InProcessEvents, EmbeddedOptions {}

/** The two ends of frames between a client and an agent in the same process. */
export interface InProcessAgent {
  /** Gives a frame to the agent. */
  send(frame: Uint8Array): void;
  /** Gives bytes of an upload to the agent; resolves when they are written. @throws PynqLlmError as the agent refuses them */
  sendUpload(id: string, range: UploadRange, body: Readable): Promise<void>;
  close(): Promise<void>;
}

/** An agent inside the calling process, without a socket. */
export interface EmbeddedAgent {
  /** A session with every right. */
  connect(events: InProcessEvents): InProcessAgent;
  close(): Promise<void>;
}

/**
 * Runs the agent inside the calling process: the same sessions and the same worker, without a socket.
 * @throws PynqLlmError AGENT_DEVICE_URL, AGENT_STORE_FAILED
 */
export async function openEmbedded({ device, storeDir, threads }: EmbeddedOptions): Promise<EmbeddedAgent> {
  parseDeviceUrl(device);
  const core = new AgentCore({
    device,
    store: await ModelStore.open(storeDir ?? defaultStoreDir()),
    scratch: scratchDirectory(),
    kv: {},
    clientWeights: new Map(),
    threads,
    clock: systemClock,
    log: silentLog,
    isEmbedded: true,
  });
  return { connect: (events) => connectInProcess(core, events), close: () => core.close() };
}

/**
 * Runs the agent inside the calling process for one client.
 * @throws PynqLlmError AGENT_DEVICE_URL, AGENT_STORE_FAILED
 */
export async function openInProcess(options: InProcessOptions): Promise<InProcessAgent> {
  const agent = await openEmbedded(options);
  const { send, sendUpload, close } = agent.connect(options);
  return {
    send,
    sendUpload,
    close: async () => {
      await close();
      await agent.close();
    },
  };
}

const ADMISSION: Admission = { role: 'admin', share: [] };

/**
 * A session with every right for a client in the host's own process. It says itself whose share each of its requests uses:
 * what it names is not inside of a share of its own. Frames arrive later, as from a socket: neither side runs inside the
 * other's call.
 */
export function connectInProcess(
  host: Pick<SessionHost, 'openSession' | 'uploadBodies'>,
  { onFrame, onClose }: InProcessEvents,
): InProcessAgent {
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
