import { createHash } from 'node:crypto';
import { type Monitor, matMulComputeCounter, monitorsOf } from '../../board/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import type { Accelerator } from '../accelerator.js';
import { COMPUTING } from '../counters.js';
import {
  type CountersCheck,
  type MatMulCheck,
  type SelfTestCheck,
  type SoftMaxCheck,
  type StreamCheck,
  vectorRevision,
} from './checks.js';
import { type MatMulRun, powerUp, runMatMul } from './run-matmul.js';
import { parseWord, runStream } from './run-stream.js';
import { compareSoftMax, runSoftMax, type SoftMaxFinding } from './softmax.js';
import { bitMismatches, type GoldenVector, inEmissionOrder, readVector } from './vector.js';

/** What a check found; plain data. */
export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  /** Results that differ, NaN as a class; end-of-packet marks count too. */
  readonly bitMismatches: number;
  /** Hardware counters and status registers that differ. */
  readonly counterMismatches: number;
  /** Cycle counts that differ: of the MatMul, and of each tile that the index lists. */
  readonly cycleMismatches: number;
  /** Of a check of SOFT_MAX, whose results are compared with a tolerance: they are no bit mismatches. */
  readonly softMax?: SoftMaxFinding;
  /** The first differences, for people. */
  readonly details: readonly string[];
  /** The device's error where there was one, or what is wrong with the vector's file; the check did not pass then. */
  readonly error?: string;
}

const MAX_DETAILS = 8;

/**
 * Runs one check from power-up. Errors of the device and of the vectors are part of the result.
 * @param files bytes of the files that `filesOf(check)` names
 */
export function runCheck(
  accelerator: Accelerator,
  check: SelfTestCheck,
  files: ReadonlyMap<string, Uint8Array>,
): CheckResult {
  const findings = new Findings();
  try {
    powerUp(accelerator);
    if (check.kind === 'matmul') checkMatMul(accelerator, check, files, findings);
    else if (check.kind === 'counters') checkCounters(accelerator, check, files, findings);
    else if (check.kind === 'stream') checkStream(accelerator, check, findings);
    else checkSoftMax(accelerator, check, findings);
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    findings.fail(error);
  }
  return findings.result(check.name);
}

class Findings {
  #bits = 0;
  #counters = 0;
  #cycles = 0;
  readonly #details: string[] = [];
  #error: string | undefined;
  #softMax: SoftMaxFinding | undefined;

  fail(error: PynqLlmError): void {
    this.#error ??= error.message;
  }

  bit(count: number, what: string): void {
    this.#bits += count;
    if (count > 0) this.#note(`${count} ${what}`);
  }

  counter(what: string, actual: number | undefined, expected: number): void {
    if (actual === expected) return;
    this.#counters++;
    this.#note(`${what}: ${actual}, expected ${expected}`);
  }

  cycle(what: string, actual: number | undefined, expected: number): void {
    if (actual === expected) return;
    this.#cycles++;
    this.#note(`cycles of ${what}: ${actual}, expected ${expected}`);
  }

  softMax(finding: SoftMaxFinding): void {
    this.#softMax = finding;
    if (finding.outside > 0) this.#note(`${finding.outside} results lie outside of the tolerance`);
  }

  #note(text: string): void {
    if (this.#details.length < MAX_DETAILS) this.#details.push(text);
  }

  result(name: string): CheckResult {
    const outside = this.#softMax?.outside ?? 0;
    return {
      name,
      passed: this.#error === undefined && this.#bits + this.#counters + this.#cycles + outside === 0,
      bitMismatches: this.#bits,
      counterMismatches: this.#counters,
      cycleMismatches: this.#cycles,
      ...(this.#softMax && { softMax: this.#softMax }),
      details: this.#details,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }
}

function checkMatMul(
  accelerator: Accelerator,
  check: MatMulCheck,
  files: ReadonlyMap<string, Uint8Array>,
  findings: Findings,
): void {
  const vector = vectorOf(files, check.file);
  checkDigest(check, files, findings);
  const { measured } = check;
  const isTimedAlike = isTimedAsVectors(accelerator);
  const targets = isTimedAlike ? (measured?.hwc.map(([state]) => state) ?? []) : computingOnly(accelerator);
  const run = runMatMul(accelerator, check.file, vector, check.resident, targets);
  compareResults(findings, run, vector);
  if (!isTimedAlike) compareComputing(accelerator, findings, run, vector);
  if (measured === undefined) return;
  compareStatus(findings, run.status, measured.status);
  if (!isTimedAlike) return;
  findings.cycle('the MatMul', run.cycles, measured.cycles);
  const monitors = comparedMonitors(accelerator);
  measured.hwc.forEach(([state, count], i) => {
    const monitor = monitors[i];
    if (monitor) findings.counter(`${monitor.name} in state ${state}`, run.counts[i], count);
  });
  compareTiles(findings, run, measured);
}

/**
 * The core's monitors by number; undefined where the vectors' monitor of that number is another one, or the core has
 * none: designs of 2026 do not count loads.
 */
function comparedMonitors({ board: { description } }: Accelerator): (Monitor | undefined)[] {
  const own = monitorsOf(description);
  return monitorsOf({ revision: vectorRevision(description.revision) }).map(({ name }, i) =>
    own[i]?.name === name ? own[i] : undefined,
  );
}

/** The cycles of the vectors are the SystemC model's. */
function isTimedAsVectors({ board }: Accelerator): boolean {
  return board.description.timing === 'systemc';
}

/** Targets with which nothing but the computing of the compute unit is counted. */
function computingOnly({ board }: Accelerator): number[] {
  return monitorsOf(board.description).map(({ name }) => (name === 'compute' ? COMPUTING : 0));
}

/**
 * How long the synthesised core computes is known to the cycle, on hardware too: where it is as expected, so are M, N, kb
 * and the tiles that the core saw. v1, of which that is not known, has no such timing.
 */
function compareComputing(
  { board: { description } }: Accelerator,
  findings: Findings,
  { counts }: MatMulRun,
  { rows, inputs, columns, coreType, rowsPerTile }: GoldenVector,
): void {
  const at = monitorsOf(description).findIndex(({ name }) => name === 'compute');
  const kb = columns / SUPER_BLOCK;
  const cost = { core: description, coreType, kb, rows, columns: inputs, rowsPerTile };
  findings.counter(`compute in state ${COMPUTING}`, counts[at], matMulComputeCounter(cost) % 2 ** 32);
}

/** A file that is not as its index says still tells where it differs. */
function checkDigest(
  { file, sha256 }: MatMulCheck,
  files: ReadonlyMap<string, Uint8Array>,
  findings: Findings,
): void {
  const bytes = files.get(file);
  if (sha256 === undefined || bytes === undefined) return;
  if (createHash('sha256').update(bytes).digest('hex') !== sha256.toLowerCase())
    findings.fail(
      new PynqLlmError('DRIVER_BAD_VECTOR', `${file} does not have the SHA-256 that the index says.`, {
        context: { file },
      }),
    );
}

function compareResults(findings: Findings, { outputs }: MatMulRun, vector: GoldenVector): void {
  const differing = bitMismatches(outputs, vector.expected);
  findings.bit(differing, 'results differ');
  // The same results a second time: what differs here alone is their order.
  const emitted = bitMismatches(inEmissionOrder(outputs, vector), vector.expectedEmitted);
  findings.bit(Math.max(0, emitted - differing), 'results differ in the order in which they are emitted');
}

/** The index lists the first three tiles and the last; a tile's load and computation are seen together. */
function compareTiles(
  findings: Findings,
  run: MatMulRun,
  { tiles, inputCycles }: NonNullable<MatMulCheck['measured']>,
): void {
  const rowsPerTile = tiles[0]?.mstep ?? 1;
  for (const tile of tiles) {
    const index = tile.m / rowsPerTile;
    const inputs = index === 0 ? inputCycles : 0;
    if (inputs === undefined) continue;
    findings.cycle(`tile ${index}`, run.tileCycles[index], inputs + tile.load_cycles + tile.compute_cycles);
  }
}

/** One monitor counts one state at a time, so the MatMul is repeated from the same start until every state was counted. */
function checkCounters(
  accelerator: Accelerator,
  { row }: CountersCheck,
  files: ReadonlyMap<string, Uint8Array>,
  findings: Findings,
): void {
  const vector = vectorOf(files, row.file);
  const before = (row.after ?? []).map((file) => ({ file, vector: vectorOf(files, file) }));
  if (!isTimedAsVectors(accelerator)) {
    const targets = computingOnly(accelerator);
    for (const { file, vector: earlier } of before)
      runMatMul(accelerator, file, earlier, row.resident, targets);
    const run = runMatMul(accelerator, row.file, vector, row.resident, targets);
    compareResults(findings, run, vector);
    compareComputing(accelerator, findings, run, vector);
    return;
  }
  const monitors = comparedMonitors(accelerator);
  const states = monitors.map((monitor, i) =>
    monitor === undefined
      ? [0]
      : [...new Set([...Object.keys(monitor.states), ...Object.keys(row.counts[i] ?? {})].map(Number))],
  );
  const rounds = Math.max(...states.map((list) => list.length));
  for (let round = 0; round < rounds; round++) {
    if (round > 0) powerUp(accelerator);
    const targets = states.map((list) => list[Math.min(round, list.length - 1)]);
    for (const { file, vector: earlier } of before)
      runMatMul(accelerator, file, earlier, row.resident, targets);
    const run = runMatMul(accelerator, row.file, vector, row.resident, targets);
    if (round === 0) {
      if (!staleScales(accelerator, before, vector)) compareResults(findings, run, vector);
      findings.cycle('the MatMul', run.cycles, row.cycles);
    }
    states.forEach((list, i) => {
      const monitor = monitors[i];
      if (monitor === undefined || round >= list.length || row.counts[i] === undefined) return;
      findings.counter(
        `${monitor.name} in state ${list[round]}`,
        run.counts[i],
        row.counts[i][list[round]] ?? 0,
      );
    });
  }
}

/** v1's known fault: Q4_K and Q5_K after Q2_K or Q6_K. The file's results are from power-up, so they do not hold then. */
function staleScales(
  accelerator: Accelerator,
  before: readonly { readonly vector: GoldenVector }[],
  { coreType }: GoldenVector,
): boolean {
  const afterOtherScales = before.some(({ vector }) => vector.coreType === 2 || vector.coreType === 6);
  return (
    accelerator.board.description.revision === 'v1' && (coreType === 4 || coreType === 5) && afterOtherScales
  );
}

function checkStream(accelerator: Accelerator, { stream }: StreamCheck, findings: Findings): void {
  const run = runStream(accelerator, stream);
  const words = run.packets.flatMap((packet) => [...packet]);
  const expected = stream.expect.map(([word]) => parseWord(stream.name, word));
  findings.bit(bitMismatches(Uint32Array.from(words), Uint32Array.from(expected)), 'words differ');
  const ends = (lengths: readonly number[]) => lengths.join('+');
  const actualEnds = ends(run.packets.map((packet) => packet.length));
  const expectedEnds = ends(packetLengths(stream.expect.map(([, last]) => last)));
  findings.bit(
    actualEnds === expectedEnds ? 0 : 1,
    `packets have ${actualEnds} words, expected ${expectedEnds}`,
  );
  compareStatus(findings, run.status, stream.regs);
}

function checkSoftMax(accelerator: Accelerator, { vector }: SoftMaxCheck, findings: Findings): void {
  // A case that the device does not finish is one all the same.
  findings.softMax({ results: 0, outside: 0, otherBits: 0 });
  const { results, expected } = runSoftMax(accelerator, vector);
  findings.softMax(compareSoftMax(results, expected));
}

function packetLengths(lastMarks: readonly number[]): number[] {
  const ends = lastMarks.flatMap((last, i) => (last === 1 ? [i + 1] : []));
  return ends.map((end, i) => end - (ends[i - 1] ?? 0));
}

function compareStatus(findings: Findings, actual: readonly number[], expected: readonly number[]): void {
  expected.forEach((value, i) => {
    findings.counter(`status register ${i}`, actual[i], value);
  });
}

function vectorOf(files: ReadonlyMap<string, Uint8Array>, file: string): GoldenVector {
  const bytes = files.get(file);
  if (bytes === undefined)
    throw new PynqLlmError('DRIVER_BAD_VECTOR', `The file ${file} is missing.`, { context: { file } });
  return readVector(file, bytes);
}
