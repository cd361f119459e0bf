import { parentPort, workerData } from 'node:worker_threads';
import { DMACR, DMASR } from '../../../board/registers/index.js';
import { type Behaviour, systemIn } from './mapped-board.js';

const ENGINES = ['/dev/uio1', '/dev/uio2', '/dev/uio3', '/dev/uio4'];
/** DMACR, DMASR and LENGTH of both channels, as indices of words. */
const CHANNELS = [
  { control: 0x00 / 4, status: 0x04 / 4, length: 0x28 / 4 },
  { control: 0x30 / 4, status: 0x34 / 4, length: 0x58 / 4 },
];

/**
 * The registers of four DMA engines whose transfers never complete: a reset clears itself, run and halt follow each
 * other, and on demand a transfer ends with a decode error.
 */
function step(words: Int32Array, behaviour: Behaviour): void {
  if (CHANNELS.some(({ control }) => Atomics.load(words, control) & DMACR.RESET)) {
    // The driver asks the first channel whether the reset is over: that one last.
    for (const { control, status, length } of CHANNELS.toReversed()) {
      Atomics.store(words, length, 0);
      Atomics.store(words, status, DMASR.HALTED);
      Atomics.store(words, control, 2);
    }
    return;
  }
  for (const { control, status, length } of CHANNELS) {
    if (!(Atomics.load(words, control) & DMACR.RUN)) continue;
    if (Atomics.load(words, length) === 0) Atomics.store(words, status, 0);
    else if (behaviour === 'decode-error')
      Atomics.store(words, status, DMASR.HALTED | DMASR.DECODE_ERROR | DMASR.ERR_IRQ);
  }
}

const { root, behaviour }: { root: string; behaviour: Behaviour } = workerData;
const { mapper } = systemIn(root);
const engines = ENGINES.map((path) => mapper.map({ path, offset: 0, length: 0x1_0000, cached: false }).words);
parentPort?.postMessage('running');
const nothing = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  for (const words of engines) step(words, behaviour);
  Atomics.wait(nothing, 0, 0, 0.2);
}
