import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A link to a broker on which what goes there can be held up, while what comes from there goes on. */
export interface StallingProxy extends AsyncDisposable {
  readonly url: string;
  /** From now on nothing that is sent arrives. */
  stall(): void;
  /** All of it arrives now. */
  flow(): void;
}

/** @param port of the broker, on loopback */
export async function stallingProxy(port: number): Promise<StallingProxy> {
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  let isStalled = false;
  const server = createServer((client) => {
    const broker = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    broker.pipe(client);
    client.on('data', (bytes) => {
      const pass = () => void broker.write(bytes);
      if (isStalled) held.push(pass);
      else pass();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `nats://127.0.0.1:${own}`,
    stall: () => {
      isStalled = true;
    },
    flow: () => {
      isStalled = false;
      for (const pass of held.splice(0)) pass();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
