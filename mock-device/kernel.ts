import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { PynqLlmError } from '../errors/index.js';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Kernel & Probe };
  readonly Memory: new (pages: { initial: number; maximum: number }) => KernelMemory;
};

/** Memory that the kernels and the CPU share. */
export interface KernelMemory {
  readonly buffer: ArrayBuffer;
}

/** A dot product, 2 * x * w, to see whether this machine computes it right (assembly/probe.ts). */
interface Probe {
  dotOfBytes(x: number, w: number): number;
}

/** The core's kernels (assembly/): addresses are byte offsets in the board's memory. */
export interface Kernel {
  /** Q8_K blocks as sent (292 bytes each) to prepared input blocks of `PREPARED_INPUT.bytes`. */
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
  const kernel = instantiate(compiled, memory);
  if (!isRight(kernel)) throw unsupported('computes dot products of bytes wrong');
  return kernel;
}

/** Compiled once a process; the modules lie beside the compiled file. */
function compile(): object {
  const core = readFileSync(new URL('./core.wasm', import.meta.url));
  const probe = readFileSync(new URL('./probe.wasm', import.meta.url));
  // Node 20 has relaxed SIMD behind this flag; later ones need it no more.
  if (!WebAssembly.validate(core)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  if (!WebAssembly.validate(core)) throw unsupported('does not run WebAssembly with relaxed SIMD');
  // V8's first compiler of Node 20 swaps the dot product's operands on x86 processors without AVX; its second one does not. It is
  // asked with a module of its own, because what it has compiled of a module stays.
  if (!isRight(instantiate(new WebAssembly.Module(probe), reserveMemory(1))))
    setFlagsFromString('--no-liftoff');
  return new WebAssembly.Module(core);
}

function instantiate(module: object, memory: KernelMemory): Kernel & Probe {
  return new WebAssembly.Instance(module, { env: { memory } }).exports;
}

function isRight(probe: Probe): boolean {
  return probe.dotOfBytes(-128, 127) === 2 * -128 * 127;
}

function unsupported(what: string): PynqLlmError {
  return new PynqLlmError('MOCK_KERNEL_UNSUPPORTED', `Node ${process.version} on ${process.arch} ${what}.`);
}

/** Memory of a fixed size in pages of 64 KiB; pages that nobody touches cost nothing. @throws RangeError */
export function reserveMemory(pages: number): KernelMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
