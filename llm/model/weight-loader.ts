import type {
  Accelerator,
  KeepWeights,
  MatMulProgram,
  ModelWeights,
  Placement,
  PlacementReport,
  WeightOrigins,
} from '../../driver/index.js';
import {
  BLOCK_FORMATS,
  type ByteSource,
  coreTypeOf,
  type GgufFile,
  type GgufTensor,
} from '../../gguf/index.js';
import { loadCpuMatrix } from './cpu-matrix.js';
import { type CpuRowsMemory, mostOfGroup, type RowsShape } from './cpu-rows.js';
import type { PlacedMatrix } from './linear-group.js';

/** What the CPU's part of the rows is, and where it goes. */
export interface RowShare {
  /** Rows of a matrix, the last ones. */
  rowsOf(tensor: GgufTensor): number;
  makeRoom(shapes: readonly RowsShape[], mostRows: number): CpuRowsMemory;
}

/** Called after each matrix with the bytes of weights loaded so far. */
export type LoadProgress = (done: number, total: number, unit: 'bytes') => void;

/** Loads matrices to where the placement report puts them, and remembers what is to be given back. */
export class WeightLoader {
  readonly placement: PlacementReport;
  readonly #gguf: GgufFile;
  readonly #accelerator: Accelerator | undefined;
  readonly #floatActivations: boolean;
  readonly #onProgress: LoadProgress | undefined;
  readonly #placements: ReadonlyMap<string, Placement>;
  readonly #weights: ModelWeights | undefined;
  readonly #programs: MatMulProgram[] = [];
  /** The CPU's rows of matrices, and where they are. */
  readonly #shares: ReadonlyMap<string, number>;
  readonly rows: CpuRowsMemory | undefined;
  readonly #totalBytes: number;
  #loadedBytes = 0;

  /** @param tensors all matrices of the model, in the order of use @param keep where packed weights may be kept */
  constructor(
    gguf: GgufFile,
    tensors: readonly GgufTensor[],
    accelerator: Accelerator | undefined,
    onProgress: LoadProgress | undefined,
    keep: KeepWeights | undefined,
    share: RowShare | undefined,
    floatActivations = false,
  ) {
    this.#gguf = gguf;
    this.#accelerator = accelerator;
    this.#floatActivations = floatActivations;
    this.#onProgress = onProgress;
    this.#totalBytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
    this.#shares = new Map(
      accelerator === undefined || share === undefined
        ? []
        : tensors
            .map((tensor) => [tensor.name, share.rowsOf(tensor)] as const)
            .filter(([, rows]) => rows > 0),
    );
    const cores = tensors.map((tensor) => ({ ...tensor, rows: tensor.rows - this.#shareOf(tensor) }));
    this.placement = accelerator?.plan(cores) ?? cpuPlacement(tensors);
    this.rows = this.#shares.size === 0 ? undefined : this.#makeRoom(tensors, share);
    this.#placements = new Map(this.placement.tensors.map(({ name, placement }) => [name, placement]));
    this.#weights = accelerator?.weightsOf(cores, keep);
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
      return { matrix: loadCpuMatrix(this.#gguf, tensor, this.#floatActivations) };
    }
    const { name, type, columns } = tensor;
    const rows = tensor.rows - this.#shareOf(tensor);
    const readRows = rowReader(this.#gguf.source, tensor);
    const weights = { name, type, rows, columns, readRows };
    const program = this.#accelerator.load(weights, placement, { kept: this.#weights });
    this.#programs.push(program);
    if (this.rows === undefined || rows === tensor.rows) return { program };
    const rest = this.rows.take(shapeOf(tensor, tensor.rows - rows));
    readRows(rows, rest.rows, rest.blocks);
    return { program, rest };
  }

  #shareOf({ name }: GgufTensor): number {
    return this.#shares.get(name) ?? 0;
  }

  #makeRoom(tensors: readonly GgufTensor[], share: RowShare | undefined): CpuRowsMemory | undefined {
    const shapes = tensors
      .filter(({ name }) => this.#shares.has(name))
      .map((tensor) => shapeOf(tensor, this.#shareOf(tensor)));
    return share?.makeRoom(shapes, mostOfGroup(shapes.map(({ rows }) => rows)));
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

function shapeOf({ type, columns }: GgufTensor, rows: number): RowsShape {
  const coreType = coreTypeOf(type);
  if (coreType === undefined) throw new Error('only what the core multiplies is shared');
  return { coreType, rows, columns };
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
    tokenCycles: { words: 0, hls: 0 },
  };
}
