import { readFileSync } from 'node:fs';
import { type BoardDescription, loadBoardDescription } from '../../board/index.js';
import { Accelerator } from '../../driver/index.js';
import { fileSource, openGguf } from '../../gguf/index.js';
import { openLinuxBoard } from '../../linux-device/index.js';
import { loadModel, type Model, Random, Sampler } from '../../llm/index.js';
import { endWindow, markCalls, marked, markedCalls } from './marks.js';
import { type NullMemory, NullSystem } from './null-system.js';

/** What the counted process is told, as one JSON argument. */
export interface TokenTask {
  readonly file: string;
  readonly memory: NullMemory;
  readonly dmaBytes: number;
  /** Tokens that a counted token attends to, itself included; ascending. */
  readonly contexts: readonly number[];
  /** The file that counts are written to. */
  readonly countsFile: string;
  /** Windows before those that count, until counts have settled: at least, of the first context, and at most. */
  readonly warmUp: readonly [least: number, most: number];
  /** Windows at each context: of all calls together, and as many of their parts. */
  readonly windows: number;
  /** In a window. */
  readonly tokens: number;
}

/** A line of counts that the process had written, in order. */
export type CountedWindow =
  | { readonly kind: 'between' }
  | { readonly kind: 'marks'; readonly calls: number }
  | { readonly kind: 'total'; readonly context: number }
  | {
      readonly kind: 'parts';
      readonly context: number;
      readonly calls: readonly number[];
      readonly callsFrom: readonly number[];
    };

/** What crossed the Board seam in a token, the same at every context. */
export interface TokenTraffic {
  readonly registerReads: number;
  readonly registerWrites: number;
  readonly dmaTransfers: number;
  readonly dmaBytes: number;
  readonly tiles: number;
  readonly coreCycles: number;
  /** What the processor wrote to DMA memory and read from it. */
  readonly cpuBytesWritten: number;
  readonly cpuBytesRead: number;
  /** Bytes that changed hands, in whole cache lines, and commands to the cache. */
  readonly bytesHandedOver: number;
  readonly cacheCommands: number;
}

/** What the process prints. */
export interface TokenRun {
  readonly windows: readonly CountedWindow[];
  readonly traffic: TokenTraffic;
  readonly tensors: { readonly resident: number; readonly staged: number; readonly cpu: number };
  /** Packed weights that are copied into DMA memory in each token. */
  readonly stagedBytes: number;
}

const WARM_MARKS = 500;
const KV_BYTES = 64 * 2 ** 20;
/** So many windows in a row have to have the same counts, to a percent. */
const SETTLED_WINDOWS = 3;
const SETTLED = 1.01;
const DMA_BASE = 0x0800_0000;

/** Runs the tokens of a task on the null device and prints a {@link TokenRun}. */
export function runTokens(task: TokenTask): void {
  const system = new NullSystem(nullDescription(task.dmaBytes), task.memory);
  const board = openLinuxBoard(nullDescription(task.dmaBytes), { system, memory: task.memory });
  const accelerator = new Accelerator(board);
  system.endResets();
  const contextLength = task.contexts.at(-1)!;
  // What core-work.ts counts, and what was published: the CPU has what the core does not take as it is.
  const coreTypes = 'exact';
  const options = { accelerator, contextLength, maxColumns: 1, kvBytes: KV_BYTES, coreTypes } as const;
  const model = loadModel(openGguf(fileSource(task.file)), options);
  const decoder = new Decoder(model);
  const windows: CountedWindow[] = [];
  const end = (window: CountedWindow) => {
    endWindow();
    windows.push(window);
  };
  for (const [i, context] of task.contexts.entries()) {
    decoder.fillTo(context);
    windows.push(...warmUp(decoder, task, i === 0 ? task.warmUp[0] : SETTLED_WINDOWS));
    if (i === 0) windows.push(...countMarks());
    for (let window = 0; window < task.windows; window++) {
      for (const kind of ['total', 'parts'] as const) {
        markCalls(kind === 'parts');
        end({ kind: 'between' });
        for (let token = 0; token < task.tokens; token++) decoder.decode();
        if (kind === 'total') end({ kind, context });
        else end({ kind, context, ...markedCalls() });
      }
    }
  }
  const before = { ...accelerator.traffic };
  const { cacheCommands } = system;
  decoder.decode();
  const spent = (key: keyof typeof before) => accelerator.traffic[key] - before[key];
  const { resident, staged, cpu } = model.placement.totals;
  const run: TokenRun = {
    windows,
    traffic: {
      registerReads: spent('registerReads'),
      registerWrites: spent('registerWrites'),
      dmaTransfers: spent('dmaTransfers'),
      dmaBytes: spent('dmaBytes'),
      tiles: spent('tiles'),
      coreCycles: spent('coreCycles'),
      cpuBytesWritten: spent('cpuBytesWritten'),
      cpuBytesRead: spent('cpuBytesRead'),
      bytesHandedOver: spent('bytesHandedToDevice') + spent('bytesHandedToCpu'),
      cacheCommands: system.cacheCommands - cacheCommands,
    },
    tensors: { resident: resident.tensors, staged: staged.tensors, cpu: cpu.tensors },
    stagedBytes: staged.bytes,
  };
  process.stdout.write(`${JSON.stringify(run)}\n`);
}

/** Decodes until V8 has compiled what runs often, with marked calls and without. */
function warmUp(decoder: Decoder, task: TokenTask, least: number): CountedWindow[] {
  const most = task.warmUp[1];
  endWindow();
  const windows: CountedWindow[] = [{ kind: 'between' }];
  const counts: number[] = [];
  while (counts.length < most && !(counts.length >= least && settled(counts.slice(-SETTLED_WINDOWS)))) {
    for (let token = 0; token < 2 * task.tokens; token++) {
      markCalls(token % 2 === 0);
      decoder.decode();
    }
    endWindow();
    windows.push({ kind: 'between' });
    counts.push(lastWindow(task.countsFile));
  }
  return windows;
}

function settled(counts: readonly number[]): boolean {
  return Math.max(...counts) <= Math.min(...counts) * SETTLED;
}

/** Instructions of the window that ended last, all phases together. */
function lastWindow(countsFile: string): number {
  const lines = readFileSync(countsFile, 'utf8').trim().split('\n');
  const last = lines.at(-1)?.split(' ')[0];
  return lines
    .filter((line) => line.startsWith(`${last} `))
    .reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
}

/** Windows of calls that do nothing: what marking one costs, within it and outside. */
function countMarks(): CountedWindow[] {
  const nothing = marked('driver', () => {});
  markCalls(true);
  for (let i = 0; i < WARM_MARKS; i++) nothing();
  endWindow();
  for (let i = 0; i < WARM_MARKS; i++) nothing();
  endWindow();
  return [{ kind: 'between' }, { kind: 'marks', calls: WARM_MARKS }];
}

/** Decodes the same token at the same position, greedily, as often as it is asked to. */
class Decoder {
  readonly #model: Model;
  readonly #cache: ReturnType<Model['newCache']>;
  readonly #logits: Float32Array;
  readonly #sampler: Sampler;
  readonly #random = new Random(1);
  #filled = 0;

  constructor(model: Model) {
    this.#model = model;
    this.#cache = model.newCache();
    this.#logits = new Float32Array(model.config.vocabSize);
    this.#sampler = new Sampler({ temperature: 0 }, model.config.vocabSize);
  }

  /** Puts random keys and values before the token that is to see `context` tokens, itself included. */
  fillTo(context: number): void {
    const { layers, kvHeads, headDim } = this.#model.config;
    const row = () => Float32Array.from({ length: kvHeads * headDim }, () => this.#random.nextDouble() - 0.5);
    const [keys, values] = [row(), row()];
    for (; this.#filled < context - 1; this.#filled++) {
      this.#cache.extendTo(this.#filled, 1);
      for (let layer = 0; layer < layers; layer++) this.#cache.store(layer, this.#filled, keys, values, 0);
    }
  }

  decode(): number {
    const [cache, logits] = [this.#cache, this.#logits];
    this.#model.forward([{ cache, token: 1, position: this.#filled, logits }]);
    return this.#sampler.sample(logits).id;
  }
}

/** A PYNQ-Z1 with as much DMA memory as is wanted, and no counters: plain memory cannot count. */
function nullDescription(dmaBytes: number): BoardDescription {
  const z1 = loadBoardDescription('pynq-z1');
  const { hwc: _, ...windows } = z1.windows;
  return {
    ...z1,
    windows,
    memoryBytes: 2 ** 30,
    dmaMemory: [{ base: DMA_BASE, size: dmaBytes }],
    dma: { ...z1.dma, interrupts: false },
  };
}
