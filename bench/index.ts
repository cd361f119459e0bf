import { benchDecode } from './decode.js';
import { benchLlama } from './llama/index.js';
import { benchMatMul } from './matmul.js';
import type { BenchOptions, BenchRow } from './row.js';
import { benchSchedule } from './scheduling/index.js';
import { benchStart } from './start.js';
import { benchThreads } from './threads.js';
import { benchUpload } from './upload.js';
import { benchWire } from './wire.js';

export {
  type BoardBenchResult,
  benchBoard,
  benchProjection,
  type Missing,
  type NullMemory,
  type ProjectedBoard,
} from './board/index.js';
export { benchFleet, type FleetBenchResult } from './fleet/index.js';
export { describeMachine } from './machine.js';
export {
  benchServe,
  type ClassReport,
  type Percentiles,
  type ServeLoad,
  type ServeResult,
} from './serve/index.js';

const GROUPS: Readonly<Record<string, (options: BenchOptions) => BenchRow[] | Promise<BenchRow[]>>> = {
  matmul: benchMatMul,
  decode: benchDecode,
  llama: benchLlama,
  upload: benchUpload,
  wire: benchWire,
  schedule: benchSchedule,
  start: benchStart,
  threads: benchThreads,
};

/** Runs the named groups one after another, all where none is named. */
export async function runBenchmarks(groups: readonly string[], options: BenchOptions): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const name of groups.length > 0 ? groups : Object.keys(GROUPS))
    rows.push(...(await GROUPS[name]!(options)));
  return rows;
}
