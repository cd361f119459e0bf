import { readFileSync } from 'node:fs';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
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
export const PREPARED_INPUT = { quants: 0, sentSums: 544, scale: 576, bytes: 592 } as const;

let compiled: object | undefined;

/** The kernels over a board's memory. The module is compiled once a process and lies beside the compiled file. */
export function loadKernel(memory: KernelMemory): Kernel {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./core.wasm', import.meta.url)));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports;
}

/** Memory of a fixed size in pages of 64 KiB; pages that nobody touches cost nothing. @throws RangeError */
export function reserveMemory(pages: number): KernelMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
