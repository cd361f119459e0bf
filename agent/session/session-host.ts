import type { Admission } from '../../access/index.js';
import type { FramePort, ServerSession } from '../../protocol/index.js';
import type { UploadBodies } from './upload-bodies.js';

/** What a port is opened for: one board's agent, or the gateway of several boards. */
export interface SessionHost {
  /** Where the bytes of uploads go that its sessions begin. */
  readonly uploadBodies: UploadBodies;
  /**
   * Begins a session for a client whose frames come in through `receive` of what is returned.
   * @param admit the client's role and share by its token; throws to refuse it
   */
  openSession(port: FramePort, admit: (token: string | undefined) => Admission): ServerSession;
  /** Takes no more generations, and waits at most `ms` for those that clients wait for. */
  drain(ms: number): Promise<void>;
  /** Ends every session, tells its client why, and lets go of what is behind it. */
  close(): Promise<void>;
}
