/**
 * Copies to and from memory mapped as device memory, where the ARM architecture allows aligned accesses only: the C
 * library's memory functions, which `set` uses, die there with a bus error. Whole words where there are any, each
 * accessed once; single bytes before the first and after the last.
 */
export interface WordMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

const WORD = 4;

/** @param to byte offset in the memory */
export function writeWords(
  { bytes, words }: WordMemory,
  to: number,
  source: Uint8Array,
  at: number,
  byteLength: number,
): void {
  const end = to + byteLength;
  const [first, last] = wholeWords(to, end);
  for (let i = to; i < first; i++) bytes[i] = source[at + i - to];
  if ((source.byteOffset + at + first - to) % WORD === 0) {
    const from = new Int32Array(source.buffer, source.byteOffset + at + first - to, (last - first) / WORD);
    copyWords(words.subarray(first / WORD, last / WORD), from);
  } else {
    for (let i = first, j = at + first - to; i < last; i += WORD, j += WORD)
      words[i / WORD] = source[j] | (source[j + 1] << 8) | (source[j + 2] << 16) | (source[j + 3] << 24);
  }
  for (let i = last; i < end; i++) bytes[i] = source[at + i - to];
}

/** @param from byte offset in the memory */
export function readWords(
  { bytes, words }: WordMemory,
  from: number,
  into: Uint8Array,
  at: number,
  byteLength: number,
): void {
  const end = from + byteLength;
  const [first, last] = wholeWords(from, end);
  for (let i = from; i < first; i++) into[at + i - from] = bytes[i];
  if ((into.byteOffset + at + first - from) % WORD === 0) {
    const to = new Int32Array(into.buffer, into.byteOffset + at + first - from, (last - first) / WORD);
    copyWords(to, words.subarray(first / WORD, last / WORD));
  } else {
    for (let i = first, j = at + first - from; i < last; i += WORD, j += WORD) {
      const word = words[i / WORD];
      into[j] = word;
      into[j + 1] = word >> 8;
      into[j + 2] = word >> 16;
      into[j + 3] = word >> 24;
    }
  }
  for (let i = last; i < end; i++) into[at + i - from] = bytes[i];
}

/**
 * Copies as many words as there are. Eight a turn, with one index for both sides: on a Cortex-A9 a word takes 13 instructions
 * so, and 30 one by one, because V8 looks at its interrupts in each turn.
 */
function copyWords(to: Int32Array, from: Int32Array): void {
  const { length } = to;
  const eights = length & ~7;
  let i = 0;
  for (; i < eights; i += 8) {
    to[i] = from[i];
    to[i + 1] = from[i + 1];
    to[i + 2] = from[i + 2];
    to[i + 3] = from[i + 3];
    to[i + 4] = from[i + 4];
    to[i + 5] = from[i + 5];
    to[i + 6] = from[i + 6];
    to[i + 7] = from[i + 7];
  }
  for (; i < length; i++) to[i] = from[i];
}

/** First and end of the whole words in a range; equal, and at its end, where there are none. */
function wholeWords(from: number, end: number): readonly [number, number] {
  const first = Math.min(Math.ceil(from / WORD) * WORD, end);
  const last = Math.max(first, Math.floor(end / WORD) * WORD);
  return [first, last];
}

const fence = new Int32Array(new SharedArrayBuffer(4));

/**
 * Accesses before it are done before those after it. JavaScript has no fence of its own; any atomic access is one
 * (on ARM between two `dmb`).
 */
export function barrier(): void {
  Atomics.store(fence, 0, 0);
}
