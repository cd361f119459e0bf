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
    return openInProcess({ device, storeDir, threads, ...events });
  };
}
