import type { ModelShape } from './model-shape.js';

const MEBI = 2 ** 20;

/** Sequences that an engine runs at a time (llm/scheduling). */
const SEQUENCES = 8;

/**
 * A token's text in the vocabulary's tables, a merge's in the file's header while it is read: 78 and 109 bytes a token
 * were kept, and 54 a merge held, for vocabularies of 32,000 and 50,257 (heapUsed after a collection, Node 20 on x86-64,
 * whose pointers are twice an ARM's).
 */
const TOKEN_BYTES = 112;
const MERGE_BYTES = 56;

/**
 * What a loaded model takes beside what is counted: compiled code, objects of programs and sequences, and what waits for
 * the garbage collector. With eight sequences of the bundled model the process grew by 12 MiB beyond the other lines
 * (RssAnon, Node 20 on x86-64); a third more, because V8 collects when it likes.
 */
export const HEAP_BYTES = 16 * MEBI;

/** A thread's isolate, heap and compiled kernels (RssAnon of an idle one, Node 20 on x86-64). */
export const THREAD_BYTES = 8 * MEBI;

/** Logits of each sequence that runs, and what they are sorted in. */
export function samplingBytes({ vocabulary }: ModelShape): number {
  return SEQUENCES * vocabulary * 8;
}

/** The vocabulary, with what is left of the file's header until it is collected. */
export function tokenizerBytes({ vocabulary, merges }: ModelShape): number {
  return vocabulary * TOKEN_BYTES + merges * MERGE_BYTES;
}
