import { type BoardDescription, loadBoardDescription, withDmaMemory } from '../../board/index.js';

/** What of a core is simulated: the synthesised one, at both ends of what its unpacker may take, and the SystemC model's. */
export const TIMINGS = [
  { name: 'synthesised', timing: 'synthesised', unpack: 'words' },
  { name: 'synthesised, unpack=hls', timing: 'synthesised', unpack: 'hls' },
  { name: 'systemc', timing: 'systemc', unpack: 'words' },
] as const;

export type Timing = (typeof TIMINGS)[number];

/** A PYNQ-Z1 with so many MiB for DMA. */
export function pynqZ1({ timing, unpack }: Timing, mebibytes = 128): BoardDescription {
  return { ...loadBoardDescription(`pynq-z1-${mebibytes}`), timing, unpack };
}

/** A KV260 with as much DMA memory as the whole of the model takes: 128 MiB a lane. */
export function kv260({ timing, unpack }: Timing): BoardDescription {
  const board = loadBoardDescription('kv260-2026-v3');
  const lanes = board.dma.lanes;
  const out = lanes * (board.dmaDevices?.outBytes ?? 0);
  const sized = withDmaMemory(board, lanes * 128 * 2 ** 20 + out);
  if (sized === undefined) throw new Error('a KV260 has that much');
  return { ...sized, timing, unpack };
}
