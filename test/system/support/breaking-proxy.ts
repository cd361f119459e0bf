import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP connection to an agent that a test can break, as a bad network does. */
export interface BreakingProxy extends AsyncDisposable {
  readonly url: string;
  /** Connections made so far. */
  readonly connections: number;
  /** Breaks every connection now; new ones are taken. */
  breakNow(): void;
  /** Breaks each connection once so many bytes went through it, in both directions together; undefined for never. */
  breakAfter(bytes: number | undefined): void;
}

/** @param agentUrl `ws://host:port` */
export async function breakingProxy(agentUrl: string): Promise<BreakingProxy> {
  const { hostname, port } = new URL(agentUrl);
  const open = new Set<Socket>();
  let limit: number | undefined;
  let connections = 0;
  const server = createServer((client) => {
    connections++;
    const agent = connect(Number(port), hostname);
    let passed = 0;
    const end = () => {
      client.destroy();
      agent.destroy();
      open.delete(client);
    };
    open.add(client);
    for (const [from, to] of [
      [client, agent],
      [agent, client],
    ]) {
      from.on('data', (data) => {
        passed += data.length;
        if (limit !== undefined && passed > limit) end();
        else to.write(data);
      });
      from.on('error', end);
      from.on('close', end);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is an AddressInfo once it listens.
  const address = server.address() as AddressInfo;
  const breakNow = () => {
    for (const client of [...open]) client.destroy();
  };
  return {
    url: `ws://127.0.0.1:${address.port}`,
    get connections() {
      return connections;
    },
    breakNow,
    breakAfter(bytes) {
      limit = bytes;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      breakNow();
      await closed;
    },
  };
}
