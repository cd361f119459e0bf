/** What a token's instructions are for; the place in this list is the phase that the counter is told. */
export const PARTS = [
  'rest',
  'driver',
  'Q8_K',
  'attention',
  'RoPE, K/V store',
  'norms',
  'SwiGLU',
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

/** A call within another one's counts for its own part only. Whatever no call encloses is the rest. */
export const MARKED_CALLS: readonly MarkedCall[] = [
  { part: 'driver', module: 'driver/accelerator.js', export: 'Accelerator', method: 'multiply' },
  { part: 'Q8_K', module: 'gguf/q8k.js', export: 'quantizeQ8K' },
  { part: 'attention', module: 'llm/kv/cache.js', export: 'KvCache', method: 'attend' },
  { part: 'RoPE, K/V store', module: 'llm/kv/cache.js', export: 'KvCache', method: 'store' },
  { part: 'RoPE, K/V store', module: 'llm/model/rope.js', export: 'Rope', method: 'rotate' },
  { part: 'RoPE, K/V store', module: 'llm/model/rope.js', export: 'Rope', method: 'fillAngles' },
  { part: 'norms', module: 'llm/model/norm.js', export: 'rmsNorm' },
  { part: 'SwiGLU', module: 'llm/model/swiglu.js', export: 'swiGlu' },
  { part: 'sampling', module: 'llm/sampling/sampler.js', export: 'Sampler', method: 'sample' },
];
