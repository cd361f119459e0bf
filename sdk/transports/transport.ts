import type { PynqLlmError } from '../../errors/index.js';

/** What a transport tells. */
export interface TransportEvents {
  onFrame(frame: Uint8Array): void;
  /** Once, unless the client itself closed the transport. */
  onClose(reason: PynqLlmError): void;
}

/** One open connection that carries frames. */
export interface Transport {
  send(frame: Uint8Array): void;
  /** Ends the connection; resolves when it is gone. */
  close(): Promise<void>;
}

/** Opens a connection to one place, again and again where asked. @throws PynqLlmError SDK_CONNECT_FAILED */
export type OpenTransport = (events: TransportEvents, signal: AbortSignal) => Promise<Transport>;
