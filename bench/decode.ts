import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DecodeMeasurement } from './decode-child.js';
import { type BenchOptions, type BenchRow, median, row } from './row.js';
import { SMALL, syntheticModel, TINY_LLAMA_Q3_K_S } from './synthetic-model.js';

/**
 * Semi-spaces as small as those of the agent's device worker, whose memory this measures. In one run of four, V8 took the mock's
 * short-lived objects for long-lived ones and kept 40 MB of them: pretenuring is off, so that runs can be compared.
 */
const MEMORY_FLAGS = ['--max-semi-space-size=2', '--no-allocation-site-pretenuring'];

/**
 * Decoding with a synthetic model of TinyLlama-1.1B's dimensions in Q3_K_S: all weights resident (kv260) and, on the PYNQ-Z1 with
 * 128 MiB of DMA memory, most of them staged. Baseline of the memory figures: the size of the file.
 */
export async function benchDecode({ quick, onNote }: BenchOptions): Promise<BenchRow[]> {
  onNote(
    quick
      ? 'decode: writing a small model'
      : 'decode: writing the synthetic model (475 MiB, kept in the temporary folder)',
  );
  const path = syntheticModel(quick ? SMALL : TINY_LLAMA_Q3_K_S);
  const bytes = statSync(path).size;
  const rows: BenchRow[] = [];
  for (const board of ['kv260', 'pynq-z1']) {
    onNote(`decode on mock:${board}`);
    const run = await measure(path, board, quick ? 4 : 24);
    const name = `decode mock:${board}`;
    rows.push(
      row(`${name} speed`, 1000 / median(run.tokenMs), 'tokens/s'),
      row(`${name} peak memory`, run.peakBytes, 'bytes', bytes),
      row(`${name} load`, run.loadMs / 1000, 's'),
      row(`${name} register accesses`, run.registerAccesses, 'per token'),
      row(`${name} DMA transfers`, run.dmaTransfers, 'per token'),
      row(`${name} DMA bytes`, run.dmaBytes, 'bytes per token'),
      row(`${name} copied by the mock`, run.gatheredBytes, 'bytes per token'),
      row(`${name} core cycles`, run.coreCycles, 'cycles per token'),
    );
  }
  return rows;
}

async function measure(path: string, board: string, tokens: number): Promise<DecodeMeasurement> {
  const child = fileURLToPath(new URL('./decode-child.js', import.meta.url));
  const args = [...MEMORY_FLAGS, child, path, board, String(tokens)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 600_000 });
  return JSON.parse(stdout) as DecodeMeasurement;
}
