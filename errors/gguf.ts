import type { ErrorEntry } from './entry.js';

const DAMAGED =
  'The file is damaged or was made by a faulty tool: download or convert it again and compare its SHA-256.';

/** Errors of gguf/: numbers 1000 to 1099. */
export const GGUF_ERRORS = {
  GGUF_BAD_MAGIC: {
    number: 1001,
    meaning: 'The file does not start with the four letters GGUF.',
    remedy: 'Give the .gguf file of a model.',
  },
  GGUF_BIG_ENDIAN: {
    number: 1002,
    meaning: 'The file was written for big-endian machines.',
    remedy:
      'Use the little-endian file, or convert this one: pip install gguf, then gguf-convert-endian FILE little.',
  },
  GGUF_UNSUPPORTED_VERSION: {
    number: 1003,
    meaning: 'The GGUF version is neither 2 nor 3.',
    remedy: 'Convert the model again with a current llama.cpp.',
  },
  GGUF_TRUNCATED: {
    number: 1004,
    meaning: 'The file ends before what its header declares.',
    remedy:
      'The download or copy is probably incomplete: fetch the file again and compare its size and SHA-256.',
  },
  GGUF_TRAILING_DATA: {
    number: 1005,
    meaning: 'The file goes on after the last tensor by more than the alignment padding.',
    remedy: DAMAGED,
  },
  GGUF_COUNT_TOO_LARGE: {
    number: 1006,
    meaning: 'A count in the header needs more bytes than the file has left.',
    remedy: DAMAGED,
  },
  GGUF_HEADER_TOO_LARGE: {
    number: 1007,
    meaning: 'Metadata and tensor list exceed the limits that keep a hostile file from filling the memory.',
    remedy: 'No known model comes near these limits: check where the file is from.',
  },
  GGUF_BAD_NAME: {
    number: 1008,
    meaning: 'A metadata key or tensor name is empty or longer than the format allows.',
    remedy: DAMAGED,
  },
  GGUF_BAD_VALUE: {
    number: 1009,
    meaning: 'A metadata value has an unknown type or is not valid for its type.',
    remedy: DAMAGED,
  },
  GGUF_NESTING_TOO_DEEP: {
    number: 1010,
    meaning: 'Metadata arrays are nested too deeply.',
    remedy: DAMAGED,
  },
  GGUF_DUPLICATE_KEY: {
    number: 1011,
    meaning: 'A metadata key occurs twice.',
    remedy: DAMAGED,
  },
  GGUF_BAD_ALIGNMENT: {
    number: 1012,
    meaning: 'general.alignment is not a uint32 power of two of at least 8.',
    remedy: DAMAGED,
  },
  GGUF_UNSUPPORTED_TENSOR_TYPE: {
    number: 1013,
    meaning: 'A tensor has a type that this package cannot read.',
    remedy:
      "Fetch the model in a quantisation that can be read, such as Q4_K_M, or make one with llama.cpp's llama-quantize from its F16 file.",
  },
  GGUF_BAD_DIMENSIONS: {
    number: 1014,
    meaning:
      'A tensor has no or more than four dimensions, an empty one, or more elements than can be counted.',
    remedy: DAMAGED,
  },
  GGUF_ROW_NOT_WHOLE_BLOCKS: {
    number: 1015,
    meaning: "The length of a row is not a multiple of its type's block size.",
    remedy: DAMAGED,
  },
  GGUF_DUPLICATE_TENSOR: {
    number: 1016,
    meaning: 'Two tensors have the same name.',
    remedy: DAMAGED,
  },
  GGUF_TENSOR_MISALIGNED: {
    number: 1017,
    meaning: "A tensor's offset is not a multiple of the file's alignment.",
    remedy: DAMAGED,
  },
  GGUF_TENSOR_OVERLAP: {
    number: 1018,
    meaning: 'The data of two tensors overlap.',
    remedy: DAMAGED,
  },
  GGUF_READ_FAILED: {
    number: 1019,
    meaning: 'The operating system could not open or read the file.',
    remedy: 'Check the path, the permissions and the disk; the cause has the system error.',
  },
  GGUF_BAD_RANGE: {
    number: 1020,
    meaning: 'Rows, bytes or a buffer asked for do not fit the tensor, block format or source.',
    remedy: 'Ask for rows that exist and give buffers of the documented length.',
  },
  GGUF_UNSUPPORTED_CONVERSION: {
    number: 1021,
    meaning: 'Values cannot be converted to or from this type.',
    remedy: 'Use F32, F16, BF16, Q8_0, Q4_0 or Q2_K to Q6_K to write; Q8_K is for activations only.',
  },
  GGUF_WRITE_MISMATCH: {
    number: 1022,
    meaning: 'What was given to the writer does not match what was declared.',
    remedy: 'Give exactly the declared metadata types, tensor sizes and rows.',
  },
  GGUF_SPLIT_PART: {
    number: 1024,
    meaning: 'The file is one part of a split model, and not the one to begin with.',
    remedy: 'Give the first part, with the others in the same folder.',
  },
  GGUF_SPLIT_PART_MISSING: {
    number: 1025,
    meaning: 'A part of a split model is not beside the first one.',
    remedy: 'Put all parts into one folder, under the names that they were published with.',
  },
  GGUF_SPLIT_MISMATCH: {
    number: 1026,
    meaning: 'The parts of a split model do not belong together.',
    remedy:
      'Fetch all parts of the model again from one place, and keep their names: they tell the number of each.',
  },
  GGUF_WRITE_FAILED: {
    number: 1023,
    meaning: 'The operating system could not write the file.',
    remedy: 'Check the path, the permissions and the free space; the cause has the system error.',
  },
  GGUF_PADDED_ROWS: {
    number: 1027,
    meaning: 'The keys that tell padded rows contradict the tensors.',
    remedy: 'Make the file again with `pynq-llm quantize --pad`.',
  },
} as const satisfies Record<string, ErrorEntry>;
