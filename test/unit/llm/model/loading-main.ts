import { readFileSync, writeFileSync } from 'node:fs';
import { type BoardDescription, loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import { workingSizes } from '../../../../driver/working-memory.js';
import { fileSource, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { logitsOf, TINY_STORIES } from '../models.js';

// Loads a model in a process of its own, to see what memory that takes: node loading-main.js FILE resident|staged PACKED.

const [, , file, placement, folder] = process.argv;
const z1 = loadBoardDescription('pynq-z1');
const { base } = z1.dmaMemory[0];
const size = Math.ceil(workingSizes(z1).total / 64) * 64;
const description: BoardDescription = placement === 'staged' ? { ...z1, dmaMemory: [{ base, size }] } : z1;

function use(path: string, model: string): unknown {
  using source = fileSource(path);
  const accelerator = new Accelerator(openMockBoard(description));
  const { totals, ...loaded } = load(path, model, accelerator, source);
  accelerator.close();
  return { ...loaded, resident: totals.resident.bytes, staged: totals.staged.bytes };
}

function load(path: string, digest: string, accelerator: Accelerator, source: ReturnType<typeof fileSource>) {
  const gguf = openGguf(source);
  const before = startPeak();
  const model = loadModel(gguf, { accelerator, maxColumns: 1, keep: { model: digest, folder } });
  const grown = peak() - before;
  // What is loaded is used: pages that nobody touches take no memory.
  const logits = path === file ? logitsOf(model, [1, 2])[1] : new Float32Array(0);
  const { weights } = model;
  const { totals } = model.placement;
  model.close();
  return { grown, weights, totals, sum: logits.reduce((sum, value) => sum + value, 0) };
}

/** Forgets the peak so far (proc(5), clear_refs). @returns bytes of memory now */
function startPeak(): number {
  globalThis.gc?.();
  writeFileSync('/proc/self/clear_refs', '5');
  return peak();
}

/** The most memory since then, in bytes. */
function peak(): number {
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))!;
  return 1024 * Number(kibibytes);
}

// Compiled code and the like are there then.
use(TINY_STORIES, 'a'.repeat(64));
process.stdout.write(JSON.stringify(use(file, 'b'.repeat(64))));
