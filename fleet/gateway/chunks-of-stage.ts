import { type GgufFile, modelSource, openHeader } from '../../gguf/index.js';
import type { LayerRange } from '../../llm/index.js';
import { CHUNK_BYTES, chunkCount } from '../../protocol/index.js';

/**
 * Which chunks of a model's file a board needs that has some of its layers.
 * @param bytes of the file
 * @returns one byte a chunk: 1 where it is needed
 * @throws PynqLlmError GGUF_...
 */
export function chunksOfStage(path: string, bytes: number, range: LayerRange): Uint8Array {
  using source = modelSource(path);
  return neededChunks(openHeader(source), bytes, range);
}

/** As {@link chunksOfStage}. */
export function neededChunks({ tensors }: GgufFile, bytes: number, { from, to }: LayerRange): Uint8Array {
  const wanted = new Uint8Array(chunkCount(bytes));
  const all = [...tensors.values()];
  const layerOf = (name: string) => /^blk\.(\d+)\./.exec(name)?.[1];
  const layers = 1 + all.reduce((most, { name }) => Math.max(most, Number(layerOf(name) ?? -1)), -1);
  const [isFirst, isLast] = [from === 0, to >= layers];
  // Without an output matrix of its own a model multiplies with its embedding.
  const isTied = !tensors.has('output.weight');
  const isNeeded = (name: string): boolean => {
    const layer = layerOf(name);
    if (layer !== undefined) return Number(layer) >= from && Number(layer) < to;
    if (name === 'token_embd.weight') return isFirst || (isLast && isTied);
    if (name === 'output.weight') return isLast;
    // Norms, learned positions and factors of rotations are small.
    return true;
  };
  const take = (offset: number, byteLength: number) =>
    wanted.fill(1, Math.floor(offset / CHUNK_BYTES), Math.ceil((offset + byteLength) / CHUNK_BYTES));
  take(
    0,
    all.reduce((least, { byteOffset }) => Math.min(least, byteOffset), bytes),
  );
  for (const { name, byteOffset, byteLength } of all) if (isNeeded(name)) take(byteOffset, byteLength);
  return wanted;
}
