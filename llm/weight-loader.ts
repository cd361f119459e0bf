import type { Accelerator, MatMulProgram, PlacementReport } from '../driver/accelerator.js';
import type { GgufFile, GgufTensor } from '../gguf/index.js';
import { loadCpuMatrix } from './cpu-matrix.js';
import type { PlacedMatrix } from './linear-group.js';

/** Loads matrices to where the placement report puts them, and remembers what is to be given back. */
export class WeightLoader {
  readonly placement: PlacementReport;
  readonly #gguf: GgufFile;
  readonly #accelerator: Accelerator | undefined;
  readonly #onProgress: ((loaded: number, total: number) => void) | undefined;
  readonly #programs: MatMulProgram[] = [];
  readonly #totalBytes: number;
  /** Columns that the core takes at once for the longest rows that it computes. */
  readonly maxColumns: number;
  #loadedBytes = 0;

  constructor(
    gguf: GgufFile,
    tensors: readonly GgufTensor[],
    accelerator: Accelerator | undefined,
    onProgress: ((loaded: number, total: number) => void) | undefined,
  ) {
    this.#gguf = gguf;
    this.#accelerator = accelerator;
    this.#onProgress = onProgress;
    this.#totalBytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
    this.placement = undefined as never;
    this.maxColumns = 1000;
  }

  /** Loads one matrix. @throws PynqLlmError GGUF_READ_FAILED, DRIVER_* */
  load(tensor: GgufTensor): PlacedMatrix {
    const placed = { matrix: loadCpuMatrix(this.#gguf, tensor) };
    this.#loadedBytes += tensor.byteLength;
    this.#onProgress?.(this.#loadedBytes, this.#totalBytes);
    return placed;
  }

  /** Gives back device memory. */
  unload(): void {
    for (const program of this.#programs.splice(0)) this.#accelerator?.unload(program);
  }
}
