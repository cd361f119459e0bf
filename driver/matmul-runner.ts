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
  CONFIG_AND_INPUTS_WORDS,
  CONFIG_WORDS,
  encodeConfig,
  encodeConfigAndInputs,
} from './instructions.js';
import type { Lanes } from './lanes.js';
import type { MatMulProgram } from './matmul-program.js';
import { putWords, wholeLines } from './tile.js';
import type { Traffic } from './traffic.js';
import { CONFIG_SLOT, type WorkingMemory } from './working-memory.js';

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

/** Results of a program that are in DMA memory. */
interface PendingResults {
  readonly run: ProgramRun;
  /** Tiles from..to-1. */
  readonly from: number;
  readonly to: number;
  /** Where they begin in the output buffer. */
  readonly offset: number;
}

/**
 * Runs programs on the core: the instruction stream of the manual with all weights of a tile loaded, then computed,
 * then its results awaited before the next load (loads are not interlocked against a running COMPUTE).
 *
 * Transfers per call: 1 for CONFIG|LOAD_INP, 1 for each further program's CONFIG. Per tile lane A's (header, blocks,
 * COMPUTE) and the results; where weights are resident, each other lane has one for all tiles as far as LENGTH reaches,
 * where they are staged, one a tile. Register accesses: 2 writes a transfer; where its end is looked for (inputs, CONFIG and
 * results) a read for each look, and one write to clear the end of the one before.
 */
export class MatMulRunner {
  /** What is to be written as inputs, before it goes to DMA memory. */
  readonly #inputs: Uint8Array;
  /** The staging buffer with the last tile that was staged. */
  #staged = 0;
  /** Results that are still to be read, and the bytes that they take. */
  #pending: PendingResults[] = [];
  #used = 0;
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
    this.#inputs = new Uint8Array(memory.input.byteLength);
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
    const { input } = this.#memory;
    const image = this.#inputs;
    const [{ tiles, rows, coreType }] = programs;
    const { kb } = tiles;
    const header = CONFIG_AND_INPUTS_WORDS * 4;
    const inputBytes = header + columns * kb * Q8K_BYTES;
    const { inputBlocks } = this.#board.description.capacity;
    putWords(image, 0, encodeConfigAndInputs({ kb, rows, columns, coreType }, inputBlocks));
    fill(image.subarray(header, inputBytes));
    let end = inputBytes;
    for (let i = 1; i < programs.length; i++) {
      const at = configOffset(inputBytes, i);
      const { rows, coreType } = programs[i];
      putWords(image, at, encodeConfig({ kb, rows, columns, coreType }));
      end = at + CONFIG_WORDS * 4;
    }
    input.giveToCpu(0, end);
    input.write(0, image, 0, end);
    input.giveToDevice(0, end);
    for (const program of programs) program.setInputColumns(columns);
    return inputBytes;
  }

  /** Runs what was prepared. */
  run(
    programs: readonly MatMulProgram[],
    inputBytes: number,
    { columns, firstColumn, outputs, onTile }: RunTarget,
  ): void {
    const { input, output } = this.#memory;
    this.#pending = [];
    this.#used = 0;
    output.giveToDevice();
    const { kb } = programs[0].tiles;
    this.#lanes.send(input.physicalAddress, inputBytes);
    this.#lanes.finishSending(
      this.#deadlineUs(inputCycles(slowestCore(this.#board.description), kb, columns)),
      { what: 'inputs', subject: programs[0].name },
    );
    programs.forEach((program, index) => {
      if (index > 0) {
        this.#lanes.send(input.physicalAddress + configOffset(inputBytes, index), CONFIG_WORDS * 4);
        this.#lanes.finishSending(this.#deadlineUs(CONFIG_WORDS), { what: 'CONFIG', subject: program.name });
      }
      this.#runProgram({ program, index, columns, firstColumn, output: outputs[index], onTile });
    });
    this.#readResults();
  }

  /** Runs all tiles; results collect in the output buffer, which is read when it is full and at the end of the run. */
  #runProgram(run: ProgramRun): void {
    const { program, columns, index, onTile } = run;
    const { tiles, placement } = program;
    const { output: results } = this.#memory;
    const cost = this.#costOf(program, columns);
    const slowest = { ...cost, core: slowestCore(cost.core) };
    const deadlineUs = this.#deadlineUs(
      loadCycles(slowest, tiles.full.rows) + computeCycles(slowest, tiles.full.rows),
    );
    const turn = program.takeTurn();
    let pending = { run, from: 0, to: 0, offset: this.#used };
    if (placement === 'staged') this.#stage(run, 0);
    else this.#streamLanes(program, tiles.tileCount);
    for (let tile = 0; tile < tiles.tileCount; tile++) {
      const bytes = program.tile(tile).rows * columns * 4;
      if (this.#used + bytes > results.byteLength) {
        this.#pending.push(pending);
        this.#readResults();
        results.giveToDevice();
        pending = { run, from: tile, to: tile, offset: 0 };
      }
      this.#lanes.receive(results.physicalAddress + this.#used, bytes);
      if (placement === 'staged') this.#sendStagedTile(run, tile);
      else {
        const { address, bytes } = program.tileWords(tile);
        this.#lanes.stream(0, address, bytes);
      }
      const looksAtLength = placement === 'staged' || tile === tiles.tileCount - 1 || tile === turn;
      const waitedFor = { what: 'results', subject: program.name, tile };
      this.#lanes.finishReceiving(deadlineUs, waitedFor, looksAtLength);
      this.#used += wholeLines(bytes);
      pending.to = tile + 1;
      onTile?.(program, tile);
    }
    this.#lanes.finishStreams();
    this.#pending.push(pending);
    this.#count(program, index, columns, cost);
  }

  /** Starts all lanes but A with the words of the first `tileCount` tiles: the core takes them as it comes to each tile. */
  #streamLanes(program: MatMulProgram, tileCount: number): void {
    for (let lane = 1; lane < program.tiles.full.lanes.length; lane++) {
      const { address, bytes } = program.laneWords(lane, tileCount);
      if (bytes > 0) this.#lanes.stream(lane, address, bytes);
    }
  }

  /** One transfer a lane, lane A's last, because the others wait for its header. While they run, the next tile is copied. */
  #sendStagedTile(run: ProgramRun, tile: number): void {
    const { program } = run;
    const { lanes } = program.tile(tile);
    const base = this.#memory.staging[this.#staged].physicalAddress;
    for (let lane = lanes.length - 1; lane >= 0; lane--) {
      const { offset, bytes } = lanes[lane];
      if (bytes > 0) this.#lanes.stream(lane, base + offset, bytes);
    }
    if (tile + 1 < program.tiles.tileCount) this.#stage(run, tile + 1);
  }

  /** Copies a tile into a staging buffer that the core has not read since the tile before last. */
  #stage({ program, columns }: ProgramRun, tile: number): void {
    this.#staged = (this.#staged + 1) % this.#memory.staging.length;
    const staging = this.#memory.staging[this.#staged];
    const { bytes } = program.tile(tile);
    staging.giveToCpu(0, bytes);
    program.stageTile(this.#board, tile, columns, staging);
    staging.giveToDevice(0, bytes);
  }

  /** Reads all pending results in one piece of the output buffer. */
  #readResults(): void {
    this.#memory.output.giveToCpu(0, this.#used);
    for (const results of this.#pending) this.#readTiles(results);
    this.#pending = [];
    this.#used = 0;
  }

  /** The core sends column after column of a tile's rows. */
  #readTiles({ run, from, to, offset }: PendingResults): void {
    const { program, columns, firstColumn, output } = run;
    const { rowsPerTile, full } = program.tiles;
    const results = this.#memory.output;
    const into = new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
    const place = (column: number, tile: number): number =>
      4 * ((firstColumn + column) * program.rows + tile * rowsPerTile);
    // Of one column whole cache lines of results follow each other as the rows do.
    if (columns === 1 && (full.rows * 4) % 64 === 0) {
      const rows = (to - from - 1) * full.rows + (to > from ? program.tile(to - 1).rows : full.rows);
      results.read(offset, into, place(0, from), 4 * rows);
      return;
    }
    let at = offset;
    for (let tile = from; tile < to; tile++) {
      const { rows } = program.tile(tile);
      for (let column = 0; column < columns; column++)
        results.read(at + 4 * column * rows, into, place(column, tile), 4 * rows);
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

/** Where the CONFIG of a call's further program lies: on a line of its own behind the inputs. */
function configOffset(inputBytes: number, index: number): number {
  return wholeLines(inputBytes) + (index - 1) * CONFIG_SLOT;
}

/** How long to wait for what takes the core so many cycles. */
export function deadlineUs(
  { factor, minimumUs }: Deadlines,
  { description }: Pick<Board, 'description'>,
  cycles: number,
): number {
  return Math.max(minimumUs, Math.ceil((factor * cycles * 1e6) / description.clockHz));
}
