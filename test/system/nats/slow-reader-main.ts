import { parentPort, workerData } from 'node:worker_threads';
import { connectNats } from '../../../bus/index.js';

/** Reads a log and hears a subject in a thread of its own, and stands still when told to. */
const bus = await connectNats({ url: workerData as string });
let flooded = 0;
let read = 0;
let losses = 0;
bus.onConnection((connected) => {
  if (!connected) losses++;
});
await bus.subscribe('flood', () => void flooded++, { limits: { messages: 1_000 } }).ready;
void (async () => {
  for await (const entry of bus.log('L').read()) {
    if (entry.id !== String(read)) throw new Error(`${entry.id} came after ${read}`);
    read++;
  }
})();
parentPort!.on('message', (message: number | 'counts') => {
  if (message === 'counts') parentPort!.postMessage({ flooded, read, losses, connected: bus.connected });
  else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, message);
});
parentPort!.postMessage('ready');
