import { readFileSync } from 'node:fs';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Kernels };
  readonly Memory: new (pages: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

/** The kernels of assembly/, over one memory; addresses are byte offsets in it. */
export interface Kernels {
  /** Attention; a unit is a head of keys and values of a column. See assembly/attention.ts. */
  attend(args: number, firstUnit: number, endUnit: number, scratch: number): void;
  /** K-quant rows with the core's arithmetic; a unit is some rows. See assembly/blocks.ts. */
  multiplyBlocks(args: number, firstUnit: number, endUnit: number, scratch: number): void;
  /** RMSNorm, with an addition before and Q8_K after; see assembly/norm.ts. */
  normalize(
    values: number,
    update: number,
    weight: number,
    epsilon: number,
    length: number,
    n: number,
    out: number,
    blocks: number,
  ): void;
  /** LayerNorm, likewise. */
  normalizeLayer(
    values: number,
    update: number,
    weight: number,
    bias: number,
    epsilon: number,
    length: number,
    n: number,
    out: number,
    blocks: number,
  ): void;
  /** `count` float32 to Q8_K blocks. */
  quantizeQ8K(values: number, count: number, blocks: number): void;
  /** `n` columns of any length to Q8_K, each padded to whole blocks; see assembly/q8k.ts. */
  quantizeColumns(values: number, length: number, n: number, tail: number, blocks: number): void;
  /** A row of blocks of 32 as Q6_K with the same integers; see assembly/core-rows.ts. */
  coreRowOfSmall(
    type: number,
    row: number,
    count: number,
    blocks: number,
    out: number,
    scratch: number,
  ): void;
  /** A row of IQ4_XS as Q6_K in two parts; see assembly/core-rows.ts. */
  coreRowOfIq4Xs(row: number, blocks: number, out: number, scratch: number): void;
  /** A row of float32 as Q6_K, in one part or two; see assembly/core-rows.ts. */
  coreRowOfFloats(values: number, blocks: number, parts: number, out: number, scratch: number): void;
  /** A row of `count` blocks of 32 to float32; see assembly/core-rows.ts. */
  decodeSmall(type: number, row: number, count: number, floats: number, scratch: number): void;
  /** Turns heads by the angles of a position; see assembly/rope.ts. */
  rotate(values: number, heads: number, headDim: number, dimensions: number, angles: number): void;
  /** The same of pairs that lie half of the dimensions apart. */
  rotateHalves(values: number, heads: number, headDim: number, dimensions: number, angles: number): void;
  /** Brings `count` float32 between -most and most by tanh; see assembly/cap.ts. */
  cap(values: number, count: number, most: number): void;
  /** GELU in place, times `up` unless that is 0, with Q8_K after; see assembly/gelu.ts. */
  geGlu(gate: number, up: number, count: number, blocks: number): void;
  /** SwiGLU in place, with Q8_K after; see assembly/swiglu.ts. */
  swiGlu(gate: number, up: number, count: number, blocks: number): void;
  /** Makes INT8 of one layer of a complete page; see assembly/quantized-page.ts. */
  quantizePage(keys: number, values: number, to: number, kvHeads: number, headDim: number): void;
  decodeHalves(halves: number, floats: number, count: number): void;
  encodeHalves(floats: number, halves: number, count: number): void;
  roundToHalves(from: number, to: number, count: number): void;
  roundToBfloats(from: number, to: number, count: number): void;
  decodeBfloats(bfloats: number, floats: number, count: number): void;
  /** `count` float32 to blocks of 32 with their sums; see assembly/q8small.ts. */
  quantizeQ8Small(values: number, count: number, blocks: number): void;
  /** A row of blocks of 32 times such columns; see assembly/small-rows.ts. */
  multiplySmallRow(
    type: number,
    row: number,
    blocks: number,
    columns: number,
    n: number,
    results: number,
  ): void;
  /** A row of unpacked super-blocks times columns of Q8_K; see assembly/super-rows.ts. */
  multiplySuperRow(row: number, blocks: number, columns: number, n: number, results: number): void;
  /** results[n] = row . columns[n], all float32. */
  multiplyRow(row: number, columns: number, n: number, length: number, results: number): void;
}

const PAGE_BYTES = 65536;

/** The kernels' own data lie below. */
const FIRST_ADDRESS = 4096;

/** WebAssembly addresses have 32 bits. */
export const MOST_KERNEL_BYTES = 2 ** 32 - FIRST_ADDRESS;

let compiled: object | undefined;

/** The module, which lies beside the compiled file: compiled once a process. */
export function compiledKernels(): object {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)));
  return compiled;
}

/** The kernels over a memory, for one thread. */
export function instantiateKernels(module: object, memory: object): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports;
}

/**
 * A memory of fixed size, which threads can share, with the kernels over it, given out from the start. Pages that nobody
 * touches cost nothing; the garbage collector takes it all back.
 */
export class KernelMemory {
  readonly kernels: Kernels;
  /** What other threads get. */
  readonly shared: object;
  readonly #buffer: SharedArrayBuffer;
  #next = FIRST_ADDRESS;

  /** @param byteLength the sum of what will be reserved, each part rounded up to 64 bytes @throws RangeError */
  constructor(byteLength: number) {
    const pages = Math.ceil((FIRST_ADDRESS + byteLength) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.kernels = instantiateKernels(compiledKernels(), memory);
    this.shared = memory;
    this.#buffer = memory.buffer;
  }

  /** `length` float32; their address is the array's byteOffset. */
  floats(length: number): Float32Array {
    return new Float32Array(this.#buffer, this.#reserve(4 * length), length);
  }

  /** `length` unsigned 32-bit words; their address is the array's byteOffset. */
  words(length: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#reserve(4 * length), length);
  }

  /** `length` bytes; their address is the array's byteOffset. */
  bytes(length: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#reserve(length), length);
  }

  /** `length` halves; their address is the array's byteOffset. */
  halves(length: number): Uint16Array {
    return new Uint16Array(this.#buffer, this.#reserve(2 * length), length);
  }

  #reserve(byteLength: number): number {
    const address = this.#next;
    this.#next += wholeLines(byteLength);
    return address;
  }
}

/** Rounds up to the cache line that every reserved part starts at. */
export function wholeLines(byteLength: number): number {
  return Math.ceil(byteLength / 64) * 64;
}
