/** What a token's instructions are for; the place in this list is the phase that the counter is told. */
export const PARTS = [
  'rest',
  'driver',
  'result copies',
  'attention',
  'RoPE, K/V store',
  'norms, Q8_K',
  'SwiGLU, Q8_K',
  'sampling',
] as const;
export type Part = (typeof PARTS)[number];

/**
 * Where the work of a part begins and ends: calls of exported functions, of methods of exported classes, or of the WebAssembly
 * functions in the `kernels` of their objects.
 */
export interface MarkedCall {
  readonly part: Part;
  /** Below dist/. */
  readonly module: string;
  readonly export: string;
  readonly method?: string;
  readonly kernel?: string;
}

const KERNELS = { module: 'llm/kernels/kernels.js', export: 'KernelMemory' } as const;

/** A call within another one's counts for its own part only. Whatever no call encloses is the rest. */
export const MARKED_CALLS: readonly MarkedCall[] = [
  { part: 'driver', module: 'driver/accelerator.js', export: 'Accelerator', method: 'multiply' },
  { part: 'result copies', module: 'board/owned-dma-buffer.js', export: 'OwnedDmaBuffer', method: 'read' },
  { part: 'attention', module: 'llm/kv/cache.js', export: 'KvCache', method: 'attend' },
  { part: 'RoPE, K/V store', module: 'llm/kv/cache.js', export: 'KvCache', method: 'store' },
  { part: 'RoPE, K/V store', module: 'llm/model/rope.js', export: 'Rope', method: 'fillAngles' },
  { part: 'RoPE, K/V store', ...KERNELS, kernel: 'rotate' },
  { part: 'norms, Q8_K', module: 'llm/model/workspace.js', export: 'Workspace', method: 'normalize' },
  { part: 'norms, Q8_K', ...KERNELS, kernel: 'quantizeQ8K' },
  { part: 'SwiGLU, Q8_K', ...KERNELS, kernel: 'swiGlu' },
  { part: 'sampling', module: 'llm/sampling/sampler.js', export: 'Sampler', method: 'sample' },
];
