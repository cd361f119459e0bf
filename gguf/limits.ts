/**
 * Limits of a GGUF header. Every one answers a way in which a small or crafted file could fill the memory of a
 * board with 512 MiB; real files stay far below (the largest vocabularies, 256 k tokens with 500 k merges, make
 * headers of about 20 MiB).
 */

/** Metadata and tensor list together, in bytes: typed arrays take what the file takes, strings a few times that. */
export const MAX_HEADER_BYTES = 64 * 2 ** 20;

/** Array elements that become JavaScript values of their own: strings, booleans, 64-bit integers, inner arrays. */
export const MAX_BOXED_ELEMENTS = 2 * 2 ** 20;

/** What an inner array counts as: an empty one takes 12 bytes in a file and some 200 in memory. */
export const INNER_ARRAY_COST = 16;

/** Arrays in arrays: the reader recurses once for each level. No known file has more than one. */
export const MAX_ARRAY_DEPTH = 4;

/** Metadata keys have up to 2**16 - 1 bytes (GGUF specification). */
export const MAX_KEY_BYTES = 0xffff;

/** Tensor names have up to 64 bytes (GGUF specification). */
export const MAX_TENSOR_NAME_BYTES = 64;

/** Tensors in a file: each takes some 400 bytes in memory. The largest models have a few thousand. */
export const MAX_TENSORS = 65_536;

/** Parts of a split model: each keeps a file open while it is read. Published models have up to some two hundred. */
export const MAX_SPLIT_PARTS = 512;
