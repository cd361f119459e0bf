import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A port that leads to another one, whose bytes take their time on the way: a long cable. */
export interface SlowRelay extends AsyncDisposable {
  readonly port: number;
}

/** @param delayMs that bytes take in either direction, at least */
export async function slowRelay(to: number, delayMs: number): Promise<SlowRelay> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const other = connect(to, '127.0.0.1');
    for (const [from, into] of [
      [client, other],
      [other, client],
    ] as const) {
      open.add(from);
      from.on('data', (data) => setTimeout(() => into.write(data), delayMs));
      from.on('error', () => {});
      from.on('close', () => {
        open.delete(from);
        into.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
