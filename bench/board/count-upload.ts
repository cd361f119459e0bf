import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isPynqLlmError } from '../../errors/index.js';
import { type BoardClient, connect } from '../../sdk/index.js';
import type { CountingEmulator } from './emulator.js';

const CHILD = fileURLToPath(new URL('./upload-child.js', import.meta.url));
const RETRY_MS = 200;
/** V8 compiles anew for 60 MiB, and its compiling is counted: models are many times that. */
const WARM_UPS = 3;

/**
 * Armv7 instructions that an agent spends on a byte of an upload, on its main thread: receiving, hashing and handing over
 * to the file system. What the kernel does is not counted.
 * @param byteLength bytes that are counted, after WARM_UPS times as many that are not, while V8 compiles
 */
export async function countUpload(
  emulator: CountingEmulator,
  byteLength: number,
  timeoutMs: number,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-count-'));
  try {
    const url = `unix:${join(folder, 'agent.sock')}`;
    const counts = join(folder, 'counts');
    const child = emulator.run(CHILD, [url, join(folder, 'store')], counts, timeoutMs);
    await Promise.race([child, upload(url, byteLength, timeoutMs)]);
    await child;
    return instructionsOf(readFileSync(counts, 'utf8'), 2) / byteLength;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Each session begins a window of the counts: warming up, the upload that is counted. */
async function upload(url: string, byteLength: number, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (const uploads of [WARM_UPS, 1]) {
    await using board = await connectUntil(url, end);
    for (let left = uploads; left > 0; left--)
      await board.models.store(randomBytes(byteLength), { name: 'counted' });
  }
  // Its hello is the agent's end.
  await connect(url, { reconnectMs: 0, timeoutMs }).catch(() => undefined);
}

async function connectUntil(url: string, end: number): Promise<BoardClient> {
  for (;;) {
    try {
      return await connect(url, { reconnectMs: 0, timeoutMs: Math.ceil(end - performance.now()) });
    } catch (error) {
      // It may not listen yet.
      if (!isPynqLlmError(error, 'SDK_CONNECT_FAILED') || performance.now() > end) throw error;
      await delay(RETRY_MS);
    }
  }
}

/** From the counter's lines "window phase instructions". */
function instructionsOf(text: string, window: number): number {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
  return lines.reduce((sum, [of, , instructions]) => (of === window ? sum + instructions : sum), 0);
}
