/**
 * Copies every `stride`-th byte on of GGUF blocks to where a lane reads them, each padded to whole words with zeros.
 *
 * @param source the lane's first block, `stride` bytes before its next
 * @param blocks how many blocks
 * @param blockBytes bytes of a block in the file: even
 * @param paddedBytes the same, rounded up to whole words
 * @param to where the lane's first block goes
 */
export function packLane(
  source: usize,
  stride: usize,
  blocks: i32,
  blockBytes: usize,
  paddedBytes: usize,
  to: usize,
): void {
  for (let block = 0; block < blocks; block++) {
    let i: usize = 0;
    for (; i + 16 <= blockBytes; i += 16) v128.store(to + i, v128.load(source + i));
    for (; i + 4 <= blockBytes; i += 4) store<u32>(to + i, load<u32>(source + i));
    if (i < paddedBytes) store<u32>(to + i, load<u16>(source + i));
    source += stride;
    to += paddedBytes;
  }
}

/**
 * Takes `byteLength` bytes, a multiple of 64, into the checksum of 16 bytes at `state`: four streams of words, each with XXH32's
 * round. A round is one to one in the word and in what was before, so no change of a single word goes unseen.
 */
export function takeChecksum(state: usize, from: usize, byteLength: usize): void {
  let sum = v128.load(state);
  const end = from + byteLength;
  for (; from < end; from += 64) {
    sum = round(sum, v128.load(from));
    sum = round(sum, v128.load(from, 16));
    sum = round(sum, v128.load(from, 32));
    sum = round(sum, v128.load(from, 48));
  }
  v128.store(state, sum);
}

// @ts-ignore: decorator
@inline
function round(sum: v128, words: v128): v128 {
  const mixed = i32x4.add(sum, i32x4.mul(words, i32x4.splat(<i32>0x85ebca77)));
  return i32x4.mul(v128.or(i32x4.shl(mixed, 13), i32x4.shr_u(mixed, 19)), i32x4.splat(<i32>0x9e3779b1));
}
