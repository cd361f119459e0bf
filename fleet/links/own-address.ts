import { createSocket } from 'node:dgram';
import { PynqLlmError } from '../../errors/index.js';
import { makeIdentity } from './identity.js';
import { type LinkAddress, LinkPort } from './link-port.js';

/** Where a board is to let others in. */
export interface LinkPlace {
  /** How others reach it; the address from which this machine reaches the broker unless given. */
  readonly host?: string | undefined;
  readonly port: number;
}

/** Opens a board's port for links, with a certificate of its own. @throws PynqLlmError FLEET_LINKS_PORT */
export async function openLinks(
  { host, port }: LinkPlace,
  broker: string,
): Promise<{ readonly port: LinkPort; readonly address: LinkAddress }> {
  try {
    const reached = host ?? (await addressTowards(broker));
    const opened = await LinkPort.open(makeIdentity(), port);
    return { port: opened, address: opened.addressAt(reached) };
  } catch (cause) {
    throw new PynqLlmError('FLEET_LINKS_PORT', `Port ${port} for links cannot be opened: ${String(cause)}.`, {
      context: { port },
      cause,
    });
  }
}

/** The own address in the network of that machine: no byte is sent to find it. */
async function addressTowards(host: string): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, host, resolve);
    });
    return socket.address().address;
  } finally {
    socket.close();
  }
}
