import type { Readable } from 'node:stream';
import type { PynqLlmError } from '../../errors/index.js';
import type { UploadRange } from '../../protocol/index.js';

/** What a transport tells. */
export interface TransportEvents {
  onFrame(frame: Uint8Array): void;
  /** Once, unless the client itself closed the transport. */
  onClose(reason: PynqLlmError): void;
}

/** One open connection that carries frames. */
export interface Transport {
  send(frame: Uint8Array): void;
  /**
   * Sends bytes of an upload beside the frames; resolves when the agent has written them.
   * @param body has the bytes of the range; destroyed where they are not wanted any more
   * @param access the token of the session, and what gives up
   * @throws PynqLlmError as the agent refuses them, SDK_CONNECTION_LOST; the signal's reason; what the body throws
   */
  sendUpload(id: string, range: UploadRange, body: Readable, access: UploadAccess): Promise<void>;
  /** Ends the connection; resolves when it is gone. */
  close(): Promise<void>;
}

/** How bytes of an upload are let in, and given up. */
export interface UploadAccess {
  readonly token: string | undefined;
  readonly signal: AbortSignal;
}

/** Opens a connection to one place, again and again where asked. @throws PynqLlmError SDK_CONNECT_FAILED */
export type OpenTransport = ((events: TransportEvents, signal: AbortSignal) => Promise<Transport>) & {
  /** What error messages call the place. */
  readonly place?: string;
};
