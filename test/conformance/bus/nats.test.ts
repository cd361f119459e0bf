import { it } from 'vitest';
import { connectNats } from '../../../bus/index.js';
import { noNatsServer, TestNatsServer } from '../../system/support/nats-server.js';
import { busSuite } from './suite.js';

if (noNatsServer) it('conformance of the bus: NATS', ({ skip }) => skip(noNatsServer));
else
  busSuite('NATS', async () => {
    const server = await TestNatsServer.start();
    return {
      connect: () => connectNats({ url: server.url }),
      close: async () => server[Symbol.asyncDispose](),
    };
  });
