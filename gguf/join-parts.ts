import { type ByteSource, bytesSource, checkRange } from './byte-source.js';
import { readRawMetadata } from './raw-metadata.js';
import { alignmentOf, alignUp, type GgufFile } from './reader.js';
import { SPLIT_KEYS } from './split-name.js';
import type { GgufTensor } from './tensors.js';
import { type GgufEntry, ggufHeader } from './write.js';

/** Bytes of a source that stand at `at` of the whole. What is between two stretches is padding. */
interface Stretch {
  readonly at: number;
  readonly length: number;
  readonly source: ByteSource;
  readonly from: number;
}

/**
 * The parts of a model as one GGUF file: the first one's metadata as they stand there, without those of splitting, then all
 * tensors in the order of the parts. Of a file that llama-gguf-split cut these are its own bytes.
 *
 * @param parts checked to belong together
 */
export function joinParts(parts: readonly GgufFile[]): ByteSource {
  const [first] = parts;
  const alignment = alignmentOf(first.metadata);
  const tensors = parts.flatMap((part) => [...part.tensors.values()].map((tensor) => ({ tensor, part })));
  const header = joinedHeader(
    first,
    tensors.map(({ tensor }) => tensor),
    alignment,
  );
  const stretches: Stretch[] = [{ at: 0, length: header.length, source: bytesSource(header), from: 0 }];
  let size = header.length;
  for (const { tensor, part } of tensors) {
    stretches.push({ at: size, length: tensor.byteLength, source: part.source, from: tensor.byteOffset });
    size += alignUp(tensor.byteLength, alignment);
  }
  return { size, readInto: (offset, into) => readStretches(stretches, size, offset, into) };
}

function joinedHeader(
  { source, version }: GgufFile,
  tensors: readonly GgufTensor[],
  alignment: number,
): Uint8Array {
  const pairs = new Map<string, GgufEntry>();
  for (const [key, value] of readRawMetadata(source)) pairs.set(key, { type: 'raw', value });
  for (const key of Object.values(SPLIT_KEYS)) pairs.delete(key);
  return ggufHeader(pairs, tensors, alignment, version);
}

function readStretches(stretches: readonly Stretch[], size: number, offset: number, into: Uint8Array): void {
  checkRange(size, offset, into.length);
  into.fill(0);
  const end = offset + into.length;
  for (let i = lastUpTo(stretches, offset); i < stretches.length && stretches[i].at < end; i++) {
    const { at, length, source, from } = stretches[i];
    const start = Math.max(at, offset);
    const stop = Math.min(at + length, end);
    if (start < stop) source.readInto(from + start - at, into.subarray(start - offset, stop - offset));
  }
}

/** The last stretch that begins at `offset` or before. */
function lastUpTo(stretches: readonly Stretch[], offset: number): number {
  let [low, high] = [0, stretches.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (stretches[middle].at <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
