import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { DeviceHost } from '../../../agent/session/device-host.js';
import { silentLog } from '../../../listen/index.js';
import { systemClock } from '../../../protocol/index.js';

it('a device that is closed before its worker is heard to be ready stays closed', async () => {
  const lost: unknown[] = [];
  const host = new DeviceHost({
    device: 'mock:',
    scratch: '/nowhere',
    kv: {},
    clientWeights: new Map(),
    clock: systemClock,
    log: silentLog,
    onEvent: () => {},
    onStep: () => {},
    onStage: () => {},
    onLost: (reason) => lost.push(reason),
  });
  // The worker opens the board and says so; this thread hears of it only after it has closed the device.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
  await host.close();
  await delay(1_000);
  expect(lost).toEqual([]);
  expect(host.restarts).toBe(0);
  await host.close();
}, 30_000);
