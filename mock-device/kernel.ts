import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { PynqLlmError } from '../errors/index.js';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Kernel };
  readonly Memory: new (pages: { initial: number; maximum: number }) => KernelMemory;
};

/** Memory that the kernels and the CPU share. */
export interface KernelMemory {
  readonly buffer: ArrayBuffer;
}

/** The core's kernels (assembly/): addresses are byte offsets in the board's memory. */
export interface Kernel {
  /** Q8_K blocks as sent (292 bytes each) to prepared input blocks of `PREPARED_INPUT_BYTES`. */
  prepareInputs(source: number, destination: number, count: number): void;
  /** One COMPUTE; see assembly/multiply.ts. */
  multiply(
    type: number,
    lanes: number,
    laneShift: number,
    inputs: number,
    outputs: number,
    scratch: number,
    kb: number,
    rows: number,
    columns: number,
  ): void;
}

/** A prepared input block (assembly/layout.ts): byte offsets of its parts. */
export const PREPARED_INPUT = { quants: 0, sentSums: 288, scale: 320, bytes: 336 } as const;

let compiled: object | undefined;

/** The kernels over a board's memory. @throws PynqLlmError MOCK_KERNEL_UNSUPPORTED */
export function loadKernel(memory: KernelMemory): Kernel {
  compiled ??= compile();
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports;
}

/** Compiled once a process; the module lies beside the compiled file. */
function compile(): object {
  const bytes = readFileSync(new URL('./core.wasm', import.meta.url));
  // Node 20 has relaxed SIMD behind this flag; later ones need it no more.
  if (!WebAssembly.validate(bytes)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  if (!WebAssembly.validate(bytes))
    throw new PynqLlmError(
      'MOCK_KERNEL_UNSUPPORTED',
      `Node ${process.version} on ${process.arch} does not run WebAssembly with relaxed SIMD.`,
    );
  return new WebAssembly.Module(bytes);
}

/** Memory of a fixed size in pages of 64 KiB; pages that nobody touches cost nothing. @throws RangeError */
export function reserveMemory(pages: number): KernelMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
