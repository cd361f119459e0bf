import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { planOnBoard, readModelToPlan } from '../../../agent/plan-on-board.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { bytesSource, type GgufFile, openGguf } from '../../../gguf/index.js';
import { loadModel } from '../../../llm/model/load-model.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { logitsOf } from '../llm/models.js';
import { expectSameBits } from '../llm/same-bits.js';
import { quantized } from './models.js';

const FOLDER = join('test', 'fixtures', 'families');
export const bytesOf = (file: string) => readFileSync(join(FOLDER, file));
export const TOKENS = [3, 50, 99, 7, 12];
/** A small model of each family. */
export const FAMILY_FILES = readdirSync(FOLDER).filter((name) => name.endsWith('-f16.gguf'));
/** Those that are tried in short. */
export const SHORT = /^(gpt2|phi3|qwen3moe)-/;

/** Logits of a file's last token, on a core or without one. */
export function logits(file: GgufFile, hasCore: boolean): Float32Array {
  const accelerator = hasCore ? new Accelerator(openMockBoard(loadBoardDescription('pynq-z1'))) : undefined;
  const model = loadModel(file, { accelerator });
  const last = logitsOf(model, TOKENS).at(-1)!;
  model.close();
  accelerator?.close();
  return last;
}

/** Fails unless a family with padded rows is all on the core but routers, and has the same bits on the CPU. */
export async function isOnCoreWhenPadded(name: string): Promise<void> {
  const source = bytesOf(name);
  const { file, made } = await quantized(source, 'Q6_K', { pad: true });
  const { tensors, totals } = planOnBoard(readModelToPlan(bytesSource(made)), 'pynq-z1', {
    coreTypes: 'exact',
  });
  const onCpu = tensors.filter(
    ({ placement, reason }) => placement === 'cpu' && reason.startsWith('the core'),
  );
  expect(onCpu.filter((tensor) => !tensor.name.includes('ffn_gate_inp'))).toEqual([]);
  expect(totals.resident.weights).toBeGreaterThan(0);
  const [core, cpu, exact] = [
    logits(file, true),
    logits(file, false),
    logits(openGguf(bytesSource(source)), false),
  ];
  expectSameBits(core, cpu);
  const spread = Math.max(...exact) - Math.min(...exact);
  for (const [i, value] of core.entries()) expect(Math.abs(value - exact[i])).toBeLessThan(0.2 * spread);
}
