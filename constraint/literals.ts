import type { GrammarBuilder } from './grammar.js';

/** One of `texts`, to the byte; what they begin with in common is there once. */
export function literals(grammar: GrammarBuilder, texts: readonly string[], next: number): number {
  const distinct = [...new Set(texts)].map((text) => Buffer.from(text));
  return oneOf(grammar, distinct.toSorted(Buffer.compare), 0, next);
}

/** @param sorted in the order of their bytes, all the same before byte `from` */
function oneOf(grammar: GrammarBuilder, sorted: readonly Buffer[], from: number, next: number): number {
  const ways: number[] = [];
  for (let i = 0; i < sorted.length; ) {
    const first = sorted[i];
    if (first.length === from) {
      ways.push(next);
      i++;
      continue;
    }
    let end = i + 1;
    while (end < sorted.length && sorted[end][from] === first[from]) end++;
    const group = sorted.slice(i, end);
    // In sorted order, what the first and the last have in common all have.
    const common = commonLength(first, group[group.length - 1]);
    const after = group.length === 1 ? next : oneOf(grammar, group, common, next);
    ways.push(chain(grammar, first.subarray(from, common), after));
    i = end;
  }
  return grammar.anyOf(ways);
}

function commonLength(a: Buffer, b: Buffer): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function chain(grammar: GrammarBuilder, bytes: Uint8Array, next: number): number {
  return bytes.reduceRight((after, byte) => grammar.bytes([[byte, byte]], after), next);
}
