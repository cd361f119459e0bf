import { addAbortSignal } from 'node:stream';
import type { OpenTransport } from './transport.js';

/**
 * An agent inside this process: the same sessions, worker, driver and registers, without a socket. It ends with the
 * connection.
 * @param device `mock:...`
 * @param storeDir directory of the model store; the user's cache unless given
 * @param threads that compute beside the device; as many as the CPU has cores unless given
 */
export function inProcess(
  device: string,
  storeDir: string | undefined,
  threads: number | undefined,
): OpenTransport {
  return async (events) => {
    // The agent's half is only loaded by those who use it.
    const { openInProcess } = await import('../../agent/in-process.js');
    const agent = await openInProcess({ device, storeDir, threads, ...events });
    return {
      send: agent.send,
      close: agent.close,
      sendUpload: async (id, range, body, { signal }) => {
        addAbortSignal(signal, body);
        try {
          await agent.sendUpload(id, range, body);
        } catch (error) {
          throw signal.aborted ? signal.reason : error;
        } finally {
          body.destroy();
        }
      },
    };
  };
}
