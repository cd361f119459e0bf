/** llama-quantize's order of tensors: those of no layer, then layer by layer, each by the bytes of their names. */
export function inFileOrder<T extends { readonly name: string }>(tensors: Iterable<T>): T[] {
  return [...tensors].sort((a, b) => layerOf(a.name) - layerOf(b.name) || compareBytes(a.name, b.name));
}

/** The layer that a tensor's name tells; -1 of one that belongs to none. */
export function layerOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
