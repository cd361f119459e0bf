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
import {
  type CoreForm,
  type CoreTypesSetting,
  chooseForms,
  type FormChoice,
  type ReadRows,
  RowConverter,
  reportOfFile,
} from '../core-form/index.js';
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

/** How matrices are loaded. */
export interface WeightSettings {
  readonly accelerator: Accelerator | undefined;
  /** Which matrices go to the core. */
  readonly coreTypes: CoreTypesSetting;
  readonly onProgress: LoadProgress | undefined;
  /** Where packed weights may be kept. */
  readonly keep: KeepWeights | undefined;
  readonly share: RowShare | undefined;
  readonly floatActivations: boolean | undefined;
}

/** Loads matrices to where the placement report puts them, and remembers what is to be given back. */
export class WeightLoader {
  readonly placement: PlacementReport;
  readonly #gguf: GgufFile;
  readonly #accelerator: Accelerator | undefined;
  readonly #floatActivations: boolean;
  readonly #choices: ReadonlyMap<string, FormChoice>;
  #converter: RowConverter | undefined;
  readonly #onProgress: LoadProgress | undefined;
  readonly #placements: ReadonlyMap<string, Placement>;
  readonly #weights: ModelWeights | undefined;
  readonly #programs: MatMulProgram[] = [];
  /** The CPU's rows of matrices, and where they are. */
  readonly #shares: ReadonlyMap<string, number>;
  readonly rows: CpuRowsMemory | undefined;
  readonly #totalBytes: number;
  #loadedBytes = 0;

  /** @param tensors all matrices of the model, in the order of use */
  constructor(
    gguf: GgufFile,
    tensors: readonly GgufTensor[],
    { accelerator, coreTypes, onProgress, keep, share, floatActivations = false }: WeightSettings,
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
    const choices =
      accelerator === undefined ? [] : chooseForms(accelerator.board.description, tensors, coreTypes);
    this.#choices = new Map(choices.map((choice) => [choice.tensor.name, choice]));
    const cores = choices.map(({ shape }) => ({ ...shape, rows: shape.rows - this.#shareOf(shape) }));
    const plan = accelerator?.plan(cores);
    this.placement = plan === undefined ? cpuPlacement(tensors) : reportOfFile(plan, choices);
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
    const { shape, form } = this.#choices.get(tensor.name) ?? {};
    if (this.#accelerator === undefined || placement === 'cpu' || form === undefined || shape === undefined) {
      return { matrix: loadCpuMatrix(this.#gguf, tensor, this.#floatActivations) };
    }
    const { parts } = form;
    const rows = tensor.rows - this.#shareOf(tensor);
    const readRows = this.#readerOf(tensor, form);
    const weights = { ...shape, rows, readRows };
    const program = this.#accelerator.load(weights, placement, { kept: this.#weights });
    this.#programs.push(program);
    if (this.rows === undefined || rows === tensor.rows) return { program, parts };
    const rest = this.rows.take(shapeOf(form, tensor.rows - rows));
    readRows(rows, rest.rows, rest.blocks);
    return { program, parts, rest };
  }

  /** Of rows as the core multiplies them. */
  #readerOf(tensor: GgufTensor, form: CoreForm): ReadRows {
    const { source } = this.#gguf;
    if (form.made === 'stored') return rowReader(source, tensor);
    this.#converter ??= new RowConverter(
      [...this.#choices.values()].reduce((most, { tensor }) => Math.max(most, tensor.columns), 0),
    );
    return this.#converter.reader(source, tensor, form);
  }

  #shareOf({ name }: Pick<GgufTensor, 'name'>): number {
    return this.#shares.get(name) ?? 0;
  }

  #makeRoom(tensors: readonly GgufTensor[], share: RowShare | undefined): CpuRowsMemory | undefined {
    const shapes = tensors.flatMap((tensor) => {
      const form = this.#choices.get(tensor.name)?.form;
      const rows = this.#shareOf(tensor);
      return rows === 0 || form === undefined ? [] : [shapeOf(form, rows)];
    });
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

function shapeOf({ type, columns }: CoreForm, rows: number): RowsShape {
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
function rowReader(source: ByteSource, { byteOffset, rowBytes }: GgufTensor): ReadRows {
  return (first, count, into) =>
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
