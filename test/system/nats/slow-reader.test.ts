import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { connectNats } from '../../../bus/index.js';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

describe.skipIf(noNatsServer)(`a reader that stands still${noNatsServer ? `: ${noNatsServer}` : ''}`, () => {
  it('is thrown out by the broker, comes back, and misses nothing of a log', async () => {
    await using server = await TestNatsServer.start('write_deadline: "500ms"\nmax_pending: 2MB');
    const bus = await connectNats({ url: server.url });
    const worker = new Worker(new URL('./slow-reader-main.js', import.meta.url), { workerData: server.url });
    try {
      await bus.declareLog({ name: 'L', maxAgeMs: 0, maxBytes: 0, duplicateWindowMs: 60_000 });
      await once(worker, 'message');
      const counts = async () => {
        worker.postMessage('counts');
        return (await once(worker, 'message'))[0] as { read: number; losses: number; connected: boolean };
      };
      worker.postMessage(2_500);
      const large = new Uint8Array(500_000);
      for (let i = 0; i < 60; i++) {
        bus.publish('flood', large);
        await bus.log('L').append('tok', String(i), Buffer.from(String(i)));
      }
      await expect.poll(async () => (await counts()).read, { timeout: 15_000 }).toBe(60);
      const { losses, connected } = await counts();
      expect(losses).toBeGreaterThan(0);
      expect(connected).toBe(true);
      expect(server.log).toMatch(/Slow Consumer/i);
    } finally {
      await worker.terminate();
      await bus.close();
    }
  });
});
