import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSink, GgmlType, writeSyntheticLlama } from '../../gguf/index.js';
import { SMALL } from '../unit/llm/models.js';

const MEBI = 2 ** 20;
/** Beside DMA memory: one tile packed and unpacked, activations, programs, and what waits for the garbage collector. */
const LOADING_BYTES = 4 * MEBI;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pynq-llm-load-'));
  using sink = fileSink(join(folder, 'model.gguf'));
  writeSyntheticLlama(sink, {
    dimensions: { ...SMALL, embedding: 1024, layers: 3, feedForward: 2816, contextLength: 64 },
    typeOf: (name) => (name.includes('norm') ? GgmlType.F32 : GgmlType.Q4_K),
    seed: 7,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(placement: 'resident' | 'staged') {
  const program = new URL('../unit/llm/model/loading-main.js', import.meta.url).pathname;
  const args = ['--expose-gc', program, join(folder, 'model.gguf'), placement, folder];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as {
    grown: number;
    resident: number;
    staged: number;
    sum: number;
    weights: { packed: number; read: number };
  };
}

describe.skipIf(process.platform !== 'linux')('loading a model of 20 MiB (peaks are read from /proc)', () => {
  it('takes DMA memory, of which the mock makes its own process, and a few MiB; so does reading it packed', () => {
    const fresh = load('resident');
    expect(fresh.resident).toBeGreaterThan(18 * MEBI);
    expect(fresh.grown).toBeLessThan(fresh.resident + LOADING_BYTES);
    const again = load('resident');
    expect(again.weights.packed).toBe(0);
    expect(again.grown).toBeLessThan(again.resident + LOADING_BYTES);
    const staged = load('staged');
    expect(staged).toMatchObject({ resident: 0, sum: fresh.sum, weights: { packed: 0 } });
    expect(staged.staged).toBeGreaterThan(18 * MEBI);
    expect(staged.grown).toBeLessThan(LOADING_BYTES);
  });
});
