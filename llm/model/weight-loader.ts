import type {
  Accelerator,
  KeepWeights,
  MatMulProgram,
  ModelWeights,
  Placement,
  PlacementReport,
  WeightOrigins,
} from '../../driver/index.js';
import { BLOCK_FORMATS, type ByteSource, type GgufFile, type GgufTensor } from '../../gguf/index.js';
import { loadCpuMatrix } from './cpu-matrix.js';
import type { PlacedMatrix } from './linear-group.js';

/** Called after each matrix with the bytes of weights loaded so far. */
export type LoadProgress = (done: number, total: number, unit: 'bytes') => void;

/** Loads matrices to where the placement report puts them, and remembers what is to be given back. */
export class WeightLoader {
  readonly placement: PlacementReport;
  readonly #gguf: GgufFile;
  readonly #accelerator: Accelerator | undefined;
  readonly #onProgress: LoadProgress | undefined;
  readonly #placements: ReadonlyMap<string, Placement>;
  readonly #weights: ModelWeights | undefined;
  readonly #programs: MatMulProgram[] = [];
  readonly #totalBytes: number;
  #loadedBytes = 0;

  /** @param tensors all matrices of the model, in the order of use @param keep where packed weights may be kept */
  constructor(
    gguf: GgufFile,
    tensors: readonly GgufTensor[],
    accelerator: Accelerator | undefined,
    onProgress: LoadProgress | undefined,
    keep: KeepWeights | undefined,
  ) {
    this.#gguf = gguf;
    this.#accelerator = accelerator;
    this.#onProgress = onProgress;
    this.#totalBytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
    this.placement = accelerator?.plan(tensors) ?? cpuPlacement(tensors);
    this.#placements = new Map(this.placement.tensors.map(({ name, placement }) => [name, placement]));
    this.#weights = accelerator?.weightsOf(tensors, keep);
  }

  /** Loads one matrix. @throws PynqLlmError GGUF_READ_FAILED, DRIVER_* */
  load(tensor: GgufTensor): PlacedMatrix {
    const placed = this.#place(tensor);
    this.#loadedBytes += tensor.byteLength;
    this.#onProgress?.(this.#loadedBytes, this.#totalBytes, 'bytes');
    return placed;
  }

  #place(tensor: GgufTensor): PlacedMatrix {
    const placement = this.#placements.get(tensor.name) ?? 'cpu';
    if (this.#accelerator === undefined || placement === 'cpu') {
      return { matrix: loadCpuMatrix(this.#gguf, tensor) };
    }
    const { name, type, rows, columns } = tensor;
    const weights = { name, type, rows, columns, readRows: rowReader(this.#gguf.source, tensor) };
    const program = this.#accelerator.load(weights, placement, { kept: this.#weights });
    this.#programs.push(program);
    return { program };
  }

  /** All matrices are loaded: what was packed of them counts from now on. */
  finish(): WeightOrigins {
    this.#weights?.finish();
    return this.#weights?.origins ?? { packed: 0, read: 0, found: 0 };
  }

  /** Gives back device memory. */
  get unload(): () => void {
    return unloader(this.#programs, this.#accelerator, this.#weights);
  }
}

function unloader(
  programs: MatMulProgram[],
  accelerator: Accelerator | undefined,
  weights: ModelWeights | undefined,
): () => void {
  return () => {
    for (const program of programs.splice(0)) accelerator?.unload(program);
    weights?.close();
  };
}

/** Staged weights are read as long as the model is loaded: the file's metadata are not held for that. */
function rowReader(source: ByteSource, { byteOffset, rowBytes }: GgufTensor) {
  return (first: number, count: number, into: Uint8Array): void =>
    source.readInto(byteOffset + first * rowBytes, into.subarray(0, count * rowBytes));
}

/** The report of a machine without an accelerator. */
function cpuPlacement(tensors: readonly GgufTensor[]): PlacementReport {
  const none = { tensors: 0, bytes: 0, weights: 0 };
  return {
    board: 'none',
    tensors: tensors.map(({ name, type, rows, columns }) => ({
      name,
      type: BLOCK_FORMATS[type].name,
      rows,
      columns,
      placement: 'cpu',
      reason: 'there is no accelerator',
      bytes: 0,
    })),
    totals: {
      resident: none,
      staged: none,
      cpu: {
        tensors: tensors.length,
        bytes: 0,
        weights: tensors.reduce((sum, { rows, columns }) => sum + rows * columns, 0),
      },
    },
    dmaMemory: { total: 0, working: 0, free: 0 },
  };
}
