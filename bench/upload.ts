import { randomFillSync } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect } from '../sdk/index.js';
import { type BenchOptions, type BenchRow, median, row } from './row.js';
import { withAgent } from './with-agent.js';

/**
 * Upload throughput, file to file, with every chunk and the whole verified. Baseline: the same file copied over a bare TCP
 * connection between the same two processes, also file to file, in turn with the uploads.
 */
export async function benchUpload({ quick, onNote }: BenchOptions): Promise<BenchRow[]> {
  onNote('upload');
  const bytes = (quick ? 16 : 256) * 2 ** 20;
  return withAgent(async (child, folder) => {
    const file = join(folder, 'model.bin');
    const content = new Uint8Array(bytes);
    const uploads: number[] = [];
    const copies: number[] = [];
    await using board = await connect(child.agentUrl);
    for (let run = 0; run < (quick ? 3 : 6); run++) {
      // New content each time: what the agent has is not sent again.
      randomFillSync(content);
      writeFileSync(file, content);
      copies.push(await seconds(() => copyOverTcp(file, child.copyPort)));
      uploads.push(await seconds(() => board.models.store(file)));
      await board.models.delete('model.bin');
    }
    return [
      row('upload throughput', bytes / median(uploads.slice(1)), 'bytes/s', bytes / median(copies.slice(1))),
    ];
  });
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

function copyOverTcp(file: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true });
    createReadStream(file, { highWaterMark: 2 ** 20 })
      .on('error', reject)
      .pipe(socket);
    socket.on('error', reject).on('data', () => {
      socket.destroy();
      resolve();
    });
  });
}
