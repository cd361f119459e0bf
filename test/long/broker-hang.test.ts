import { expect, it } from 'vitest';
import { connectNats } from '../../bus/index.js';
import { noNatsServer, TestNatsServer } from '../system/support/nats-server.js';

it('notices within 20 s that a broker hangs, though nothing is asked', async ({ skip }) => {
  if (noNatsServer) return skip(noNatsServer);
  await using server = await TestNatsServer.start();
  const bus = await connectNats({ url: server.url });
  try {
    await server.pause();
    const began = performance.now();
    await expect.poll(() => bus.connected, { timeout: 60_000, interval: 100 }).toBe(false);
    expect(performance.now() - began).toBeLessThan(20_000);
    server.resume();
    await expect.poll(() => bus.connected, { timeout: 20_000 }).toBe(true);
  } finally {
    await bus.close();
  }
});
