import { loadBoardDescription } from '../board/index.js';
import { Accelerator } from '../driver/index.js';
import { fileSource, openGguf } from '../gguf/index.js';
import { loadModel } from '../llm/index.js';
import { openMockBoard } from '../mock-device/index.js';

/** What one decode run measured; the child process prints it as JSON. */
export interface DecodeMeasurement {
  readonly loadMs: number;
  readonly tokenMs: readonly number[];
  readonly peakBytes: number;
  /** Per token: what crossed the Board seam. */
  readonly registerAccesses: number;
  readonly dmaTransfers: number;
  readonly dmaBytes: number;
  /** Per token: what the mock copied instead of reading it where the DMA found it. */
  readonly gatheredBytes: number;
  readonly coreCycles: number;
}

const WARM_UP = 3;

// A process of its own, so that its peak memory is that of the model, the mock and Node, and one thread does everything.
const [path, boardName, tokens] = process.argv.slice(2) as [string, string, string];
const started = performance.now();
const board = openMockBoard(loadBoardDescription(boardName));
const accelerator = new Accelerator(board);
const model = loadModel(openGguf(fileSource(path)), { accelerator, contextLength: 128, maxColumns: 1 });
const loadMs = performance.now() - started;
const cache = model.newCache();
const logits = new Float32Array(model.config.vocabSize);
const tokenMs: number[] = [];
let before = model.cost();
let gatheredBefore = 0;
let token = 1;
for (let position = 0; position < Number(tokens) + WARM_UP; position++) {
  if (position === WARM_UP) {
    before = model.cost();
    gatheredBefore = board.gatheredBytes;
  }
  const begin = performance.now();
  model.forward([{ cache, token, position, logits }]);
  token = logits.reduce((best, value, id) => (value > logits[best]! ? id : best), 0);
  if (position >= WARM_UP) tokenMs.push(performance.now() - begin);
}
const after = model.cost();
const perToken = (key: 'registerReads' | 'registerWrites' | 'dmaTransfers' | 'dmaBytes' | 'coreCycles') =>
  (after[key] - before[key]) / Number(tokens);
const measurement: DecodeMeasurement = {
  loadMs,
  tokenMs,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  registerAccesses: perToken('registerReads') + perToken('registerWrites'),
  dmaTransfers: perToken('dmaTransfers'),
  dmaBytes: perToken('dmaBytes'),
  gatheredBytes: (board.gatheredBytes - gatheredBefore) / Number(tokens),
  coreCycles: perToken('coreCycles'),
};
process.stdout.write(`${JSON.stringify(measurement)}\n`);
