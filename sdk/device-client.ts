import { z } from 'zod';
import { type ErrorCodeName, isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  CORE_TYPE_NAMES,
  type DeviceCheckResult,
  MAX_CHECK_BYTES,
  MAX_PIECE_BYTES,
  type Result,
} from '../protocol/index.js';
import { bytes, call, callback, optionsOf, requireArguments, signal } from './arguments.js';
import type { CallOptions, Connection } from './connection.js';
import {
  byteLengthOf,
  MOST_BYTES,
  readLists,
  readVectorFile,
  requireSize,
  sizeOf,
  type VectorFile,
} from './vector-files.js';

const MATMUL = z.object({
  weights: z.object({ type: z.enum(CORE_TYPE_NAMES), rows: z.int().min(1), columns: z.int().min(1), bytes }),
  inputs: z.array(z.instanceof(Float32Array, { error: 'must be Float32Arrays' })).min(1),
  options: call,
});

const SELF_TEST = z.object({
  directory: z.string(),
  options: optionsOf({ onCheck: callback, signal, only: callback }),
});

/** A check repeats its MatMul once per state of the counters. */
const CHECK_MS = 10 * 60_000;
/** The lists of a folder of vectors. */
const LISTS = ['index', 'counters', 'streams'];
const V4_LISTS = [...LISTS, 'softmax'];

/** How weights of the core are stored; docs/glossary.md says what these are. */
export type CoreWeightType = (typeof CORE_TYPE_NAMES)[number];

type Check = Result<'device.listChecks'>['checks'][number];

/** What makes a single check fail, not all of them. */
const UNREADABLE: ReadonlySet<ErrorCodeName> = new Set([
  'SDK_VECTORS',
  'SDK_VECTORS_TOO_LARGE',
  'DRIVER_BAD_VECTOR',
]);

/** Which golden checks are made. */
export interface SelfTestOptions {
  /** Told the result of each check when it has been made. */
  readonly onCheck?: ((result: DeviceCheckResult) => void) | undefined;
  /** Ends it with the check that runs. */
  readonly signal?: AbortSignal | undefined;
  /** Which checks to make, by name; all unless given. */
  readonly only?: ((name: string) => boolean) | undefined;
}

/** What the golden checks found. */
export interface SelfTestSummary {
  /** URL of the device. */
  readonly device: string;
  /** Revision of its core. */
  readonly revision: 'v1' | 'v3' | 'v4';
  /** Checks that were made. */
  readonly cases: number;
  /** Checks of these that passed. */
  readonly passed: number;
  /** Results that differ from the golden ones, NaN as a class. */
  readonly bitMismatches: number;
  /** Hardware counters that differ. */
  readonly counterMismatches: number;
  /** Counts of cycles that differ. */
  readonly cycleMismatches: number;
  /** The checks of SOFT_MAX, which are among the others; on revision v4 alone. */
  readonly softMax?: SoftMaxSummary;
}

/** What the golden cases of SOFT_MAX found. */
export interface SoftMaxSummary {
  /** Cases that were run. */
  readonly cases: number;
  /** Cases of these all results of which lie within the tolerance. */
  readonly passed: number;
  /** Results of all cases. */
  readonly results: number;
  /** Results further from the golden one than 1e-6 of it, and than 1e-7. */
  readonly outside: number;
  /** Results within the tolerance, but in other bits: the exponential of the hardware is not known to the bit. */
  readonly otherBits: number;
}

/** Weights that the core multiplies: `quantizeWeights` makes them. */
export interface CoreWeights {
  /** How they are stored. */
  readonly type: CoreWeightType;
  /** Outputs of a MatMul. */
  readonly rows: number;
  /** Inputs of a MatMul: a multiple of 256. */
  readonly columns: number;
  /** Row after row, as in a GGUF file; at most 3 MiB. */
  readonly bytes: Uint8Array;
}

/** What a MatMul of one's own gave. */
export interface MatMulResult {
  /** `results[i][row]` of input i, rounded as the core rounds. */
  readonly results: readonly Float32Array[];
  /** Cycles of the core, in the board's timing. */
  readonly coreCycles: number;
}

/** Direct work with the core: `board.device`. Needs the role admin. */
export class DeviceClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Runs every golden MatMul, counter table, word stream and, on v4, SOFT_MAX of a folder through the driver of the device. A vector that
   * cannot be read, or is damaged, is a check that did not pass.
   * @param directory with index.json, counters.json, streams.json, softmax.json (each may be absent) and the vector files
   * @throws PynqLlmError SDK_VECTORS, SDK_VECTORS_TOO_LARGE, DRIVER_BAD_VECTOR about the lists
   */
  async selfTest(directory: string, options: SelfTestOptions = {}): Promise<SelfTestSummary> {
    requireArguments({ directory, options }, SELF_TEST);
    const { device, description } = await this.#connection.request('board.info', {});
    // Agents that know no v4 know no list of SOFT_MAX either.
    const lists = await readLists(directory, description.revision === 'v4' ? V4_LISTS : LISTS);
    const all = (await this.#connection.request('device.listChecks', lists)).checks;
    const checks = all.filter(({ name }) => options.only?.(name) !== false);
    const total = { cases: 0, passed: 0, bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0 };
    const softMax = { cases: 0, passed: 0, results: 0, outside: 0, otherBits: 0 };
    for (const check of checks) {
      options.signal?.throwIfAborted();
      const result = await this.#run(directory, check, options.signal);
      total.cases++;
      if (result.passed) total.passed++;
      total.bitMismatches += result.bitMismatches;
      total.counterMismatches += result.counterMismatches;
      total.cycleMismatches += result.cycleMismatches;
      if (result.softMax !== undefined) add(softMax, result.softMax, result.passed);
      options.onCheck?.(result);
    }
    const { revision } = description;
    return { device, revision, ...total, ...(softMax.cases > 0 && { softMax }) };
  }

  /**
   * Multiplies weights of one's own with some inputs, by the core: each input is rounded to Q8_K first, as activations of
   * models are. Steps of models wait meanwhile.
   * @param inputs each of `weights.columns` finite values
   * @throws PynqLlmError SDK_ARGUMENT, DRIVER_BAD_ARGUMENT, DRIVER_UNSUPPORTED_TENSOR (types that this core does not compute
   *   reliably), PROTOCOL_ROLE_REQUIRED; DRIVER_... where the device fails
   */
  async matMul(
    weights: CoreWeights,
    inputs: readonly Float32Array[],
    options: CallOptions = {},
  ): Promise<MatMulResult> {
    requireArguments({ weights, inputs, options }, MATMUL);
    const { type, rows, columns, bytes } = weights;
    const values = new Float32Array(inputs.length * columns);
    for (const [i, input] of inputs.entries()) {
      if (input.length !== columns)
        throw new PynqLlmError(
          'SDK_ARGUMENT',
          `inputs[${i}] has ${input.length} values; there are ${columns} columns.`,
        );
      values.set(input, i * columns);
    }
    const { results, coreCycles } = await this.#connection.request(
      'device.matMul',
      { type, rows, columns, weights: bytes, inputs: new Uint8Array(values.buffer) },
      options,
    );
    // What comes is a view of its frame, at any offset; slice() of a Buffer would be one too.
    const all = new Float32Array(new Uint8Array(results).buffer);
    return { results: inputs.map((_, i) => all.slice(i * rows, (i + 1) * rows)), coreCycles };
  }

  async #run(
    directory: string,
    { name, check, files }: Check,
    signal: AbortSignal | undefined,
  ): Promise<DeviceCheckResult> {
    try {
      const sizes = await Promise.all(files.map((file) => sizeOf(directory, file)));
      const bytes = sizes.reduce((sum, size) => sum + size, byteLengthOf(check));
      requireSize(`The check ${name}, with its vectors,`, bytes, MAX_CHECK_BYTES);
      const vectors = await Promise.all(files.map((file) => readVectorFile(directory, file)));
      const isLarge = bytes > MOST_BYTES;
      if (isLarge) await this.#addFiles(vectors);
      const params = { check, files: isLarge ? [] : vectors };
      return await this.#connection.request('device.runCheck', params, { timeoutMs: CHECK_MS, signal });
    } catch (error) {
      if (!isPynqLlmError(error) || !UNREADABLE.has(error.code)) throw error;
      const nothing = { bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0, details: [] };
      return { name, passed: false, ...nothing, error: error.message };
    }
  }

  /** Vectors that one frame cannot have. */
  async #addFiles(vectors: readonly VectorFile[]): Promise<void> {
    for (const { name, data } of vectors)
      for (let offset = 0; offset < data.length; offset += MAX_PIECE_BYTES) {
        const piece = data.subarray(offset, offset + MAX_PIECE_BYTES);
        await this.#connection.request('device.addFile', { name, offset, data: piece });
      }
  }
}

function add(
  total: { -readonly [K in keyof SoftMaxSummary]: number },
  { results, outside, otherBits }: NonNullable<DeviceCheckResult['softMax']>,
  passed: boolean,
): void {
  total.cases++;
  if (passed) total.passed++;
  total.results += results;
  total.outside += outside;
  total.otherBits += otherBits;
}
