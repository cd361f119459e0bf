import {
  type Board,
  computeCycles,
  inputCycles,
  loadCycles,
  type MatMulCost,
  matMulComputeCounter,
  matMulCycles,
  slowestCore,
  tileCycles,
} from '../board/index.js';
import { Q8K_BYTES } from '../gguf/index.js';
import {
  COMPUTE_WORDS,
  CONFIG_AND_INPUTS_WORDS,
  CONFIG_WORDS,
  encodeCompute,
  encodeConfig,
  encodeConfigAndInputs,
  LOAD_WEIGHTS_WORDS,
} from './instructions.js';
import type { Lanes } from './lanes.js';
import type { MatMulProgram } from './matmul-program.js';
import { putWords, type TileLayout, wholeLines } from './tile.js';
import type { Traffic } from './traffic.js';
import { INSTRUCTION_SLOT, SLOTS_PER_PROGRAM, type WorkingMemory } from './working-memory.js';

/**
 * How long the driver waits: `factor` times the cycles that the slowest core of its kind takes, and at least `minimumUs`.
 * Factors below 2 would end waits in which the memory, which other masters share, is slow.
 */
export interface Deadlines {
  readonly factor: number;
  readonly minimumUs: number;
}

/** Where the results of a run go. */
interface RunTarget {
  readonly columns: number;
  /** Where the first column of the run is in `outputs`. */
  readonly firstColumn: number;
  /** outputs[i][column*M + row] */
  readonly outputs: readonly Float32Array[];
  /** Told of each tile whose results have arrived. */
  readonly onTile: ((program: MatMulProgram, tile: number) => void) | undefined;
}

/** One program's part of a run. */
interface ProgramRun extends Omit<RunTarget, 'outputs'> {
  readonly program: MatMulProgram;
  /** Its place among the programs of the call. */
  readonly index: number;
  readonly output: Float32Array;
}

/** Slots of a program in the instruction buffer. */
const CONFIG_SLOT = 0;
const COMPUTE_FULL_SLOT = 1;
const COMPUTE_LAST_SLOT = 2;

/**
 * Runs programs on the core: the instruction stream of the manual with all weights of a tile loaded, then computed,
 * then its results awaited before the next load (loads are not interlocked against a running COMPUTE).
 *
 * Transfers per call: 1 for CONFIG|LOAD_INP, 1 for each further program's CONFIG; per tile on v3: resident 7 (header,
 * lanes A..D, COMPUTE, results), staged 5; on v1: resident 4, staged 2. A lane without blocks has no transfer. Each
 * transfer costs three register writes and at least one read, the results one read more, and each poll in vain one:
 * on the mock, where each wait has one, that makes 11, 7, 8 and 4 reads a tile.
 */
export class MatMulRunner {
  /** What is to be written as inputs, before it goes to DMA memory. */
  readonly #scratch: Uint8Array;
  /** The staging buffer with the last tile that was staged. */
  #staged: 0 | 1 = 0;
  readonly #board: Board;
  readonly #lanes: Lanes;
  readonly #memory: WorkingMemory;
  readonly #traffic: Traffic;
  readonly #deadlines: Deadlines;

  constructor(board: Board, lanes: Lanes, memory: WorkingMemory, traffic: Traffic, deadlines: Deadlines) {
    this.#board = board;
    this.#lanes = lanes;
    this.#memory = memory;
    this.#traffic = traffic;
    this.#deadlines = deadlines;
    this.#scratch = new Uint8Array(memory.input.byteLength);
  }

  /** The most columns that one run of these programs can take: all share the input, results go through one buffer. */
  columnsPerRun(programs: readonly MatMulProgram[]): number {
    const { inputBlocks } = this.#board.description.capacity;
    return programs.reduce(
      (most, { tiles }) => Math.min(most, Math.floor(this.#memory.output.byteLength / (4 * tiles.full.rows))),
      Math.floor(inputBlocks / programs[0].tiles.kb),
    );
  }

  /**
   * Writes inputs and instructions to DMA memory; the device is not touched.
   * @param fill writes `columns * kb` Q8_K blocks; what it throws leaves everything as it was
   * @returns bytes to send as inputs
   */
  prepare(programs: readonly MatMulProgram[], columns: number, fill: (blocks: Uint8Array) => void): number {
    this.#writeInstructions(programs, columns);
    return this.#writeInputs(programs[0], columns, fill);
  }

  /** Runs what was prepared. */
  run(
    programs: readonly MatMulProgram[],
    inputBytes: number,
    { columns, firstColumn, outputs, onTile }: RunTarget,
  ): void {
    this.#lanes.send(0, this.#memory.input.physicalAddress, inputBytes);
    const { kb } = programs[0].tiles;
    this.#lanes.finish(
      this.#deadlineUs(inputCycles(slowestCore(this.#board.description), kb, columns)),
      'inputs',
      programs[0].name,
    );
    programs.forEach((program, index) => {
      if (index > 0) this.#sendConfig(program, index);
      this.#runProgram({ program, index, columns, firstColumn, output: outputs[index], onTile });
    });
  }

  #writeInputs(program: MatMulProgram, columns: number, fill: (blocks: Uint8Array) => void): number {
    const { input } = this.#memory;
    const { kb } = program.tiles;
    const header = CONFIG_AND_INPUTS_WORDS * 4;
    const end = header + columns * kb * Q8K_BYTES;
    const bytes = this.#scratch;
    const shape = { kb, rows: program.rows, columns, coreType: program.coreType };
    putWords(bytes, 0, encodeConfigAndInputs(shape, this.#board.description.capacity.inputBlocks));
    fill(bytes.subarray(header, end));
    input.giveToCpu(0, end);
    input.write(0, bytes, 0, end);
    input.giveToDevice(0, end);
    return end;
  }

  #writeInstructions(programs: readonly MatMulProgram[], columns: number): void {
    const { instructions } = this.#memory;
    const bytes = new Uint8Array(programs.length * SLOTS_PER_PROGRAM * INSTRUCTION_SLOT);
    programs.forEach(({ tiles, rows, coreType }, i) => {
      const at = i * SLOTS_PER_PROGRAM * INSTRUCTION_SLOT;
      const { kb, full, last } = tiles;
      putWords(bytes, at + CONFIG_SLOT * INSTRUCTION_SLOT, encodeConfig({ kb, rows, columns, coreType }));
      putWords(bytes, at + COMPUTE_FULL_SLOT * INSTRUCTION_SLOT, encodeCompute(kb, full.rows, columns));
      putWords(bytes, at + COMPUTE_LAST_SLOT * INSTRUCTION_SLOT, encodeCompute(kb, last.rows, columns));
    });
    instructions.giveToCpu(0, bytes.length);
    instructions.write(0, bytes);
    instructions.giveToDevice(0, bytes.length);
  }

  #slotAddress(program: number, slot: number): number {
    return (
      this.#memory.instructions.physicalAddress + (program * SLOTS_PER_PROGRAM + slot) * INSTRUCTION_SLOT
    );
  }

  #sendConfig(program: MatMulProgram, index: number): void {
    this.#lanes.send(0, this.#slotAddress(index, CONFIG_SLOT), CONFIG_WORDS * 4);
    this.#lanes.finish(this.#deadlineUs(CONFIG_WORDS), 'CONFIG', program.name);
  }

  /** Runs all tiles; results collect in the output buffer and are copied out whenever it is full. */
  #runProgram(run: ProgramRun): void {
    const { program, columns, index, onTile } = run;
    const { tiles } = program;
    const { output: results } = this.#memory;
    const cost = this.#costOf(program, columns);
    const slowest = { ...cost, core: slowestCore(cost.core) };
    const deadlineUs = this.#deadlineUs(
      loadCycles(slowest, tiles.full.rows, true) + computeCycles(slowest, tiles.full.rows),
    );
    results.giveToDevice();
    let firstPending = 0;
    let used = 0;
    if (program.placement === 'staged') this.#stage(run, 0);
    for (let tile = 0; tile < tiles.tileCount; tile++) {
      const bytes = program.tile(tile).rows * columns * 4;
      if (used + bytes > results.byteLength) {
        this.#copyResults(run, firstPending, tile);
        results.giveToDevice();
        firstPending = tile;
        used = 0;
      }
      const address = results.physicalAddress + used;
      if (program.placement === 'resident') this.#runResidentTile(run, tile, address, bytes, deadlineUs);
      else this.#runStagedTile(run, tile, address, bytes, deadlineUs);
      onTile?.(program, tile);
      used += wholeLines(bytes);
    }
    this.#copyResults(run, firstPending, tiles.tileCount);
    this.#count(program, index, columns, cost);
  }

  /** Header, blocks and COMPUTE as transfers of their own: the blocks are read where they lie. */
  #runResidentTile(
    { program, index }: ProgramRun,
    tile: number,
    results: number,
    bytes: number,
    deadlineUs: number,
  ): void {
    const lanes = this.#lanes;
    const layout = program.tile(tile);
    lanes.send(0, program.headerAddress(tile), LOAD_WEIGHTS_WORDS[this.#board.description.revision] * 4);
    lanes.finish(deadlineUs, 'the LOAD_WGT header', program.name, tile);
    this.#sendLanes(layout, program.tileAddress(tile));
    lanes.finish(deadlineUs, 'weights', program.name, tile);
    lanes.receive(results, bytes);
    const slot = layout === program.tiles.last ? COMPUTE_LAST_SLOT : COMPUTE_FULL_SLOT;
    lanes.send(0, this.#slotAddress(index, slot), COMPUTE_WORDS * 4);
    lanes.finish(deadlineUs, 'results', program.name, tile);
  }

  /** One transfer a lane; lane A's has header, blocks and COMPUTE. While they run, the next tile is copied. */
  #runStagedTile(run: ProgramRun, tile: number, results: number, bytes: number, deadlineUs: number): void {
    const { program } = run;
    this.#lanes.receive(results, bytes);
    this.#sendLanes(program.tile(tile), this.#memory.staging[this.#staged].physicalAddress);
    if (tile + 1 < program.tiles.tileCount) this.#stage(run, tile + 1);
    this.#lanes.finish(deadlineUs, 'results', program.name, tile);
  }

  /** Copies a tile into the staging buffer that the core is not reading. */
  #stage({ program, columns }: ProgramRun, tile: number): void {
    this.#staged = this.#staged === 0 ? 1 : 0;
    const staging = this.#memory.staging[this.#staged];
    const layout = program.tile(tile);
    const [laneA] = layout.lanes;
    staging.giveToCpu(0, layout.bytes);
    program.stageTile(this.#board, tile, staging);
    const compute = new Uint8Array(COMPUTE_WORDS * 4);
    putWords(compute, 0, encodeCompute(program.tiles.kb, layout.rows, columns));
    staging.write(laneA.offset + laneA.bytes - compute.length, compute);
    staging.giveToDevice(0, layout.bytes);
  }

  #sendLanes({ lanes }: TileLayout, base: number): void {
    for (let lane = 0; lane < lanes.length; lane++) {
      const { offset, bytes } = lanes[lane];
      if (bytes > 0) this.#lanes.send(lane, base + offset, bytes);
    }
  }

  /** Copies the results of tiles from..to-1: the core sends column after column of a tile's rows. */
  #copyResults({ program, columns, firstColumn, output }: ProgramRun, from: number, to: number): void {
    const results = this.#memory.output;
    results.giveToCpu();
    const into = new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
    let at = 0;
    for (let tile = from; tile < to; tile++) {
      const { rows } = program.tile(tile);
      const firstRow = tile * program.tiles.rowsPerTile;
      for (let n = 0; n < columns; n++) {
        const to = 4 * ((firstColumn + n) * program.rows + firstRow);
        results.read(at + 4 * n * rows, into, to, 4 * rows);
      }
      at += wholeLines(rows * columns * 4);
    }
  }

  /** Core cycles of a run, in the board's timing. */
  cycles(programs: readonly MatMulProgram[], columns: number): number {
    return programs.reduce((sum, program, index) => {
      const cost = this.#costOf(program, columns);
      return sum + (index === 0 ? matMulCycles(cost) : tileCycles(cost));
    }, 0);
  }

  /** Cycles that a run counts in the compute unit. */
  computing(programs: readonly MatMulProgram[], columns: number): number {
    return programs.reduce((sum, program) => sum + matMulComputeCounter(this.#costOf(program, columns)), 0);
  }

  #costOf(program: MatMulProgram, columns: number): MatMulCost {
    return {
      core: this.#board.description,
      coreType: program.coreType,
      kb: program.tiles.kb,
      rows: program.rows,
      columns,
      rowsPerTile: program.tiles.rowsPerTile,
      resident: program.placement === 'resident',
    };
  }

  #count(program: MatMulProgram, index: number, columns: number, cost: MatMulCost): void {
    this.#traffic.matMuls++;
    this.#traffic.tiles += program.tiles.tileCount;
    this.#traffic.multiplyAdds += program.rows * columns * program.columns;
    this.#traffic.coreCycles += index === 0 ? matMulCycles(cost) : tileCycles(cost);
  }

  #deadlineUs(cycles: number): number {
    return deadlineUs(this.#deadlines, this.#board, cycles);
  }
}

/** How long to wait for what takes the core so many cycles. */
export function deadlineUs(
  { factor, minimumUs }: Deadlines,
  { description }: Pick<Board, 'description'>,
  cycles: number,
): number {
  return Math.max(minimumUs, Math.ceil((factor * cycles * 1e6) / description.clockHz));
}
