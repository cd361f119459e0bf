import type { Board, RegisterWindow } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { coreTypeOf, Q8K_BYTES } from '../gguf/index.js';
import { CoreStatus } from './core-status.js';
import { checkCounterDesign } from './counter-probe.js';
import { COMPUTING, Counters, cyclesBetween } from './counters.js';
import { reportedFault } from './fault.js';
import { Lanes } from './lanes.js';
import { MatMulProgram, type WeightTensor } from './matmul-program.js';
import { type Deadlines, MatMulRunner } from './matmul-runner.js';
import { type KeepWeights, ModelWeights } from './packed/model-weights.js';
import { WeightManifest } from './packed/weight-manifest.js';
import { type PlacementReport, packedSize, planPlacement, refusal } from './placement.js';
import { checkSoftMax, type SoftMaxOptions, SoftMaxRunner } from './softmax.js';
import type { TensorShape } from './tile-plan.js';
import { countedWindow, newTraffic, type Traffic } from './traffic.js';
import { allocateWorkingMemory, MAX_PROGRAMS, type WorkingMemory } from './working-memory.js';

export type { MatMulProgram, WeightTensor } from './matmul-program.js';
export type { PlacementReport } from './placement.js';
export type { TensorShape } from './tile-plan.js';

export interface AcceleratorOptions {
  /** A wait ends after so many times the cycles of the slowest core of this revision... */
  readonly deadlineFactor?: number;
  /** ...but not before so many microseconds of the board's time. */
  readonly minimumDeadlineUs?: number;
  /**
   * Compares after each MatMul how long the core computed with how long that takes: two register reads more. Left out while
   * the counter of the compute unit is set to another state.
   */
  readonly checkCycles?: boolean;
}

const DEFAULT_DEADLINES: Deadlines = { factor: 2.5, minimumUs: 100_000 };

/**
 * The core on a board: loads weights, multiplies, recovers. One object per board, used from one thread; every call is
 * synchronous.
 */
export class Accelerator {
  /** Running totals; copy them to keep a moment. */
  readonly traffic: Traffic = newTraffic();
  /** Called after each tile's results have arrived; for measurements between tiles. */
  onTile: ((program: MatMulProgram, tile: number) => void) | undefined;
  readonly #control: RegisterWindow;
  readonly #lanes: Lanes;
  readonly #memory: WorkingMemory;
  /** Where memory keeps what is in it. */
  readonly #manifest: WeightManifest | undefined;
  readonly #runner: MatMulRunner;
  readonly #softMaxRunner: SoftMaxRunner;
  readonly #hardwareCounters?: Counters;
  readonly #deadlines: Deadlines;
  readonly #checksCycles: boolean;
  readonly #programs = new Set<MatMulProgram>();
  #needsReset = true;
  /** The registers have shown that the counters are where the description has them. */
  #countersChecked = false;
  #closed = false;

  /**
   * Takes the driver's own buffers, resets the DMA engines and checks that the core is idle.
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, DRIVER_DMA_RESET_TIMEOUT, DRIVER_CORE_NOT_IDLE,
   *   DRIVER_COUNTERS_MISMATCH, DRIVER_COUNTERS_UNKNOWN, DRIVER_NO_COUNTERS where cycles are to be checked and cannot be
   */
  constructor(
    readonly board: Board,
    options: AcceleratorOptions = {},
  ) {
    this.#deadlines = {
      factor: options.deadlineFactor ?? DEFAULT_DEADLINES.factor,
      minimumUs: options.minimumDeadlineUs ?? DEFAULT_DEADLINES.minimumUs,
    };
    this.#checksCycles = options.checkCycles ?? false;
    this.#control = countedWindow(board.window('control'), this.traffic);
    this.#lanes = new Lanes(board, this.#control, this.traffic);
    if (Object.hasOwn(board.description.windows, 'hwc')) {
      const window = countedWindow(board.window('hwc'), this.traffic);
      this.#hardwareCounters = new Counters({ description: board.description, window });
    }
    if (this.#checksCycles) requireComputeCounter(this.counters, board.description.name);
    this.#memory = allocateWorkingMemory(board, this.traffic);
    if (board.keepsMemory) this.#manifest = new WeightManifest(this.#memory.manifest);
    this.#runner = new MatMulRunner(board, this.#lanes, this.#memory, this.traffic, this.#deadlines);
    this.#softMaxRunner = new SoftMaxRunner(board, this.#lanes, this.#memory, this.#deadlines);
    try {
      this.reset();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The hardware counters. @throws PynqLlmError DRIVER_NO_COUNTERS where the design has none */
  get counters(): Counters {
    if (this.#hardwareCounters) return this.#hardwareCounters;
    const { name } = this.board.description;
    throw new PynqLlmError('DRIVER_NO_COUNTERS', `The design on ${name} has no hwc window.`, {
      context: { board: name },
    });
  }

  /** Where each tensor would go now. Pure: allocates and touches nothing. */
  plan(tensors: readonly TensorShape[]): PlacementReport {
    return planPlacement(this.board.description, this.board.dmaMemory(), tensors);
  }

  /**
   * What is known of a model's packed weights, to be given to `load` for each of its tensors: those of an earlier process
   * in DMA memory, and files of them. Call `finish` when all are loaded, and `close` when the model is unloaded.
   * @param tensors all of the model's matrices, in an order that is always the same
   */
  weightsOf(tensors: readonly TensorShape[], keep: KeepWeights | undefined): ModelWeights {
    const { description } = this.board;
    const shapes = tensors.map((tensor) => ({
      name: tensor.name,
      packedBytes: packedSize(description, tensor),
      recipe: tensor.recipe,
    }));
    return new ModelWeights(this.board, this.#manifest, shapes, keep);
  }

  /**
   * Compiles a tensor for the core; reads its rows tile by tile, staged ones also whenever they are used.
   * @param force also what this device computes unreliably: v1's Q4_K and Q5_K, for the golden vectors
   * @param mostRows of a tile, for the golden vectors; as many as the core holds unless given
   * @param kept of the tensor's model; the tensor is packed from its rows unless given
   * @throws PynqLlmError DRIVER_UNSUPPORTED_TENSOR, DRIVER_DMA_MEMORY_FULL
   */
  load(
    tensor: WeightTensor,
    placement: 'resident' | 'staged',
    {
      force = false,
      mostRows,
      kept,
    }: {
      readonly force?: boolean;
      readonly mostRows?: number;
      readonly kept?: ModelWeights | undefined;
    } = {},
  ): MatMulProgram {
    this.#checkOpen();
    const { description } = this.board;
    const coreType = coreTypeOf(tensor.type);
    const reason = refusal(description, tensor, force);
    if (reason !== undefined || coreType === undefined) {
      throw new PynqLlmError(
        'DRIVER_UNSUPPORTED_TENSOR',
        `${tensor.name} is not for the core of ${description.name}: ${reason}.`,
        {
          context: { tensor: tensor.name, rows: tensor.rows, columns: tensor.columns, reason: reason ?? '' },
        },
      );
    }
    const program = MatMulProgram.compile(this.board, this.traffic, tensor, coreType, placement, {
      mostRows,
      kept,
    });
    this.#programs.add(program);
    return program;
  }

  /** Gives a program's memory back. Unloading twice does nothing. */
  unload(program: MatMulProgram): void {
    this.#programs.delete(program);
    program.unload();
  }

  /** Core cycles of `multiply` with `n` columns, in the board's timing. */
  cycles(programs: readonly MatMulProgram[], n: number): number {
    const perRun = this.#runner.columnsPerRun(programs);
    let total = 0;
    for (let first = 0; first < n; first += perRun)
      total += this.#runner.cycles(programs, Math.min(perRun, n - first));
    return total;
  }

  /**
   * Multiplies the weights of some programs with the same `n` columns of K activations.
   *
   * @param programs at most 32, of one K
   * @param n columns, any number from 1
   * @param fill writes n*kb Q8_K blocks of 292 bytes, a column's kb blocks together, column after column
   * @param outputs outputs[i][column*M + row] for programs[i], at least n*M values
   * @throws PynqLlmError DRIVER_... after a fault of the device; it was reset then and the next call works
   */
  multiply(
    programs: readonly MatMulProgram[],
    n: number,
    fill: (blocks: Uint8Array) => void,
    outputs: readonly Float32Array[],
  ): void {
    this.#checkOpen();
    this.#checkArguments(programs, n, outputs);
    if (this.#needsReset) this.reset();
    const perRun = this.#runner.columnsPerRun(programs);
    if (n <= perRun) {
      this.#runOrRecover(programs, n, 0, fill, outputs);
      return;
    }
    const columnBytes = programs[0].tiles.kb * Q8K_BYTES;
    const blocks = new Uint8Array(n * columnBytes);
    fill(blocks);
    for (let first = 0; first < n; first += perRun) {
      const columns = Math.min(perRun, n - first);
      const part = blocks.subarray(first * columnBytes, (first + columns) * columnBytes);
      this.#runOrRecover(programs, columns, first, (into) => into.set(part), outputs);
    }
  }

  #runOrRecover(
    programs: readonly MatMulProgram[],
    columns: number,
    firstColumn: number,
    fill: (blocks: Uint8Array) => void,
    outputs: readonly Float32Array[],
  ): void {
    const inputBytes = this.#runner.prepare(programs, columns, fill);
    this.#recovering(`${programs[0].name} was multiplied`, () => {
      const before = this.#computedCycles();
      this.#runner.run(programs, inputBytes, { columns, firstColumn, outputs, onTile: this.onTile });
      if (before !== undefined) this.#checkCycles(programs, columns, before);
    });
  }

  /**
   * The softmax of each row, by the core's SOFT_MAX unit: `exp(x - max) / sum`, where x is an element times `scale`
   * plus its mask times `slope`. Right to 1e-6 (of a result, or 1e-7 at all): the exponential of the hardware is
   * not known to the bit. The engine does without: on the CPU a softmax takes less than its transfers here.
   *
   * @param elements row after row
   * @param width elements of a row, any number from 1
   * @param output as long as `elements`, or `elements` itself; a row that is masked with -Infinity alone gives NaN
   * @throws PynqLlmError DRIVER_NO_SOFT_MAX unless description and registers say that the core is of revision v4,
   *   DRIVER_BAD_ARGUMENT; DRIVER_... after a
   *   fault of the device; it was reset then and the next call works
   */
  softMax(elements: Float32Array, width: number, output: Float32Array, options: SoftMaxOptions = {}): void {
    this.#checkOpen();
    this.#requireSoftMax();
    checkSoftMax(elements, width, output, options);
    if (this.#needsReset) this.reset();
    this.#recovering('SOFT_MAX ran', () => this.#softMaxRunner.run(elements, width, output, options));
  }

  /** The description alone is not believed: a core without the unit takes the words for other instructions. */
  #requireSoftMax(): void {
    const { name, revision } = this.board.description;
    if (revision === 'v4' && this.#countersChecked) return;
    const why =
      revision === 'v4' ? 'no counters that show that it is of revision v4' : `revision ${revision}`;
    throw new PynqLlmError('DRIVER_NO_SOFT_MAX', `The core of ${name} has ${why}.`, {
      context: { board: name, revision },
    });
  }

  /** @param what is done, for an error: `the weights were multiplied` */
  #recovering(what: string, work: () => void): void {
    try {
      work();
      const faults = this.board.takeFaults();
      if (faults.length > 0) throw reportedFault(faults, what);
    } catch (error) {
      this.#recover(error);
      throw error;
    }
  }

  /** The count of the compute unit, where it is to be checked and counts what it computes. */
  #computedCycles(): number | undefined {
    const counters = this.#checksCycles ? this.#hardwareCounters : undefined;
    return counters?.getTargets().compute === COMPUTING ? counters.readOne('compute') : undefined;
  }

  #checkCycles(programs: readonly MatMulProgram[], columns: number, before: number): void {
    const cycles = cyclesBetween(before, this.counters.readOne('compute'));
    const expected = this.#runner.computing(programs, columns) % 2 ** 32;
    if (cycles === expected) return;
    const [{ name }] = programs;
    throw new PynqLlmError(
      'DRIVER_COMPUTE_CYCLES',
      `For ${name} with ${columns} columns the core computed for ${cycles} cycles; that takes ${expected}.`,
      { context: { tensor: name, columns, cycles, expected } },
    );
  }

  /**
   * After a fault, words may be left on the way to or from the core where no status register shows them, so the
   * logic is set to its power-up state, whatever it says. Weights in DMA memory survive.
   */
  #recover(fault: unknown): void {
    this.#needsReset = true;
    try {
      this.board.resetLogic();
      this.reset();
    } catch (error) {
      const text = (e: unknown) => (e instanceof Error ? e.message : String(e));
      throw new PynqLlmError(
        'DRIVER_NOT_RECOVERED',
        `After this fault: ${text(fault)} the reset failed: ${text(error)}`,
        {
          cause: fault,
        },
      );
    }
  }

  /**
   * Resets the DMA engines, checks that the core is idle (else resets the logic), and sets the counters to 0.
   * Programs stay loaded.
   * @throws PynqLlmError DRIVER_DMA_RESET_TIMEOUT, DRIVER_CORE_NOT_IDLE
   */
  reset(): void {
    this.#checkOpen();
    this.#needsReset = true;
    this.#lanes.reset(this.#deadlines.minimumUs);
    if (!this.status().isIdle) {
      this.board.resetLogic();
      this.#lanes.reset(this.#deadlines.minimumUs);
      const status = this.status();
      if (!status.isIdle) {
        throw new PynqLlmError(
          'DRIVER_CORE_NOT_IDLE',
          `After a reset the core shows ${status.describe().join(', ')}.`,
          {
            context: { status: status.values },
          },
        );
      }
    }
    if (this.#hardwareCounters) {
      if (!this.#countersChecked) checkCounterDesign(this.board.description, this.#hardwareCounters.window);
      this.#countersChecked = true;
      this.#hardwareCounters.writeTargets();
      this.#hardwareCounters.reset();
    }
    this.board.takeFaults();
    this.#needsReset = false;
  }

  /** The core's status registers now. */
  status(): CoreStatus {
    return CoreStatus.read(this.#control, this.board.description.revision);
  }

  /** Unloads all programs and gives the driver's own buffers back; the board stays open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const program of this.#programs) program.unload();
    this.#programs.clear();
    const { manifest, input, staging, output } = this.#memory;
    for (const buffer of [manifest, input, ...staging, output]) buffer.free();
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new PynqLlmError(
        'DRIVER_CLOSED',
        `The accelerator on ${this.board.description.name} was closed.`,
      );
  }

  #checkArguments(programs: readonly MatMulProgram[], n: number, outputs: readonly Float32Array[]): void {
    const bad = (what: string) => new PynqLlmError('DRIVER_BAD_ARGUMENT', `multiply() was given ${what}.`);
    if (programs.length === 0 || programs.length > MAX_PROGRAMS)
      throw bad(`${programs.length} programs, not 1 to ${MAX_PROGRAMS}`);
    if (!Number.isInteger(n) || n < 1) throw bad(`n = ${n}, which is not a count of columns`);
    if (outputs.length !== programs.length)
      throw bad(`${outputs.length} outputs for ${programs.length} programs`);
    programs.forEach((program, i) => {
      if (!this.#programs.has(program))
        throw new PynqLlmError('DRIVER_CLOSED', `The program of ${program.name} was unloaded.`);
      if (program.columns !== programs[0].columns)
        throw bad(`programs with K = ${programs[0].columns} and ${program.columns}`);
      if (outputs[i].length < n * program.rows)
        throw bad(`room for ${outputs[i].length} of the ${n * program.rows} results of ${program.name}`);
    });
  }
}

/** v1 has no monitor of its compute unit. */
function requireComputeCounter(counters: Counters, board: string): void {
  if (counters.list().some(({ name }) => name === 'compute')) return;
  throw new PynqLlmError('DRIVER_NO_COUNTERS', `The core on ${board} does not count how long it computes.`, {
    context: { board },
  });
}
