import { PynqLlmError } from '../errors/index.js';
import type { ByteSource } from './byte-source.js';
import { foreignFile } from './foreign-file.js';
import { HeaderCursor } from './header-cursor.js';
import { type GgufValue, readMetadata, readMetadataCount } from './metadata.js';
import { withoutPadding } from './padded-rows.js';
import { refusePart } from './split-name.js';
import { type GgufTensor, readTensorCount, readTensorInfos, type TensorInfo } from './tensors.js';

/** "GGUF", read as a little-endian word. */
export const GGUF_MAGIC = 0x46554747;

/** Where data start and tensors are placed when the file does not say (GGUF specification). */
export const DEFAULT_ALIGNMENT = 32;

/** An open GGUF file: its header in memory, its tensors' data in the source. */
export class GgufFile {
  constructor(
    readonly source: ByteSource,
    readonly version: 2 | 3,
    readonly metadata: ReadonlyMap<string, GgufValue>,
    /** In the file's order. */
    readonly tensors: ReadonlyMap<string, GgufTensor>,
  ) {}

  /**
   * Reads `rowCount` rows of `tensor` from `firstRow` on into the first `rowCount * tensor.rowBytes` bytes of `into`.
   * @throws PynqLlmError GGUF_BAD_RANGE, GGUF_READ_FAILED
   */
  readTensor(tensor: GgufTensor, firstRow: number, rowCount: number, into: Uint8Array): void {
    const length = rowCount * tensor.rowBytes;
    const inside = Number.isInteger(firstRow) && Number.isInteger(rowCount) && firstRow >= 0 && rowCount >= 0;
    if (!inside || firstRow + rowCount > tensor.rows || into.length < length) {
      throw new PynqLlmError(
        'GGUF_BAD_RANGE',
        `Rows ${firstRow} to ${firstRow + rowCount} of ${tensor.name}, which has ${tensor.rows}, do not fit into ${into.length} bytes.`,
        {
          context: { tensor: tensor.name, firstRow, rowCount, rows: tensor.rows, bytes: into.length },
        },
      );
    }
    this.source.readInto(tensor.byteOffset + firstRow * tensor.rowBytes, into.subarray(0, length));
  }
}

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian) and checks every bound; tensor data are not
 * touched. Only the header's pages are read.
 * @throws PynqLlmError GGUF_*, with the byte offset in the context where one place is to blame; GGUF_SPLIT_PART of a part
 *   of a split model, see {@link modelSource}
 */
export function openGguf(source: ByteSource): GgufFile {
  return opened(source, readGguf(source));
}

/**
 * Like {@link openGguf}, of a file that may end with its header: for whoever asks what a model is, and reads no weights.
 * @throws PynqLlmError as {@link openGguf}
 */
export function openHeader(source: ByteSource): GgufFile {
  return opened(source, readGguf(source, Number.POSITIVE_INFINITY));
}

function opened(source: ByteSource, { version, metadata, tensors }: GgufFile): GgufFile {
  refusePart(metadata);
  return new GgufFile(source, version, metadata, withoutPadding(metadata, tensors));
}

/**
 * Like {@link openGguf}, also of one part of a split model, and with rows as they are stored.
 * @param size of the whole file
 */
export function readGguf(source: ByteSource, size = source.size): GgufFile {
  const cursor = new HeaderCursor(source);
  const { version, tensorCount, pairCount } = readPreamble(cursor, source);
  const metadata = readMetadata(cursor, pairCount);
  const infos = readTensorInfos(cursor, tensorCount);
  const alignment = alignmentOf(metadata);
  const dataStart = alignUp(cursor.position, alignment);
  const tensors = infos.map((info) => place(info, dataStart, alignment, size));
  checkOrder(tensors);
  if (Number.isFinite(size)) checkEnd(tensors, cursor.position, dataStart, alignment, size);
  return new GgufFile(source, version, metadata, new Map(tensors.map((tensor) => [tensor.name, tensor])));
}

/** What stands before the first metadata pair. */
export function readPreamble(
  cursor: HeaderCursor,
  source: ByteSource,
): { readonly version: 2 | 3; readonly tensorCount: number; readonly pairCount: number } {
  if (cursor.u32('magic number') !== GGUF_MAGIC) throw foreignFile(source);
  const version = checkVersion(cursor.u32('version'));
  const tensorCount = readTensorCount(cursor);
  return { version, tensorCount, pairCount: readMetadataCount(cursor) };
}

/** The first multiple of `alignment` from `offset` on. */
export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function checkVersion(version: number): 2 | 3 {
  if (version === 2 || version === 3) return version;
  // The magic is the same four letters in both byte orders; a version with its bytes swapped gives it away.
  if ((version & 0xffff) === 0 && version !== 0) {
    throw new PynqLlmError(
      'GGUF_BIG_ENDIAN',
      `The version at byte 4 reads ${version}: the file is big-endian.`,
      {
        context: { offset: 4, version },
      },
    );
  }
  throw new PynqLlmError(
    'GGUF_UNSUPPORTED_VERSION',
    `The file has GGUF version ${version}; 2 and 3 can be read.`,
    {
      context: { offset: 4, version },
      remedy:
        version > 3
          ? 'Update pynq-llm; if the newest one says the same, the file is damaged or newer than it.'
          : "Fetch a newer file of the model, or convert it again from its source with llama.cpp's convert_hf_to_gguf.py: today's llama.cpp cannot read this one either.",
    },
  );
}

export function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === 'number' && alignment >= 8 && Number.isInteger(Math.log2(alignment)))
    return alignment;
  throw new PynqLlmError('GGUF_BAD_ALIGNMENT', `general.alignment is ${String(alignment)}.`, {
    context: { alignment: String(alignment) },
  });
}

function place(info: TensorInfo, dataStart: number, alignment: number, size: number): GgufTensor {
  const { dataOffset, declaredAt, ...tensor } = info;
  const byteOffset = dataStart + dataOffset;
  if (byteOffset + info.byteLength > size) {
    throw new PynqLlmError(
      'GGUF_TRUNCATED',
      `The tensor ${info.name} takes ${info.byteLength} bytes from byte ${byteOffset} on, but the file has ${size}.`,
      {
        context: { offset: declaredAt, tensor: info.name, byteOffset, byteLength: info.byteLength, size },
      },
    );
  }
  if (dataOffset % alignment !== 0) {
    throw new PynqLlmError(
      'GGUF_TENSOR_MISALIGNED',
      `The tensor ${info.name} starts at ${dataOffset}, not a multiple of ${alignment}.`,
      {
        context: { offset: declaredAt, tensor: info.name, dataOffset, alignment },
      },
    );
  }
  return { ...tensor, byteOffset };
}

/** Tensors that share bytes could make a small file claim any amount of device memory. */
function checkOrder(tensors: readonly GgufTensor[]): void {
  const sorted = [...tensors].sort((a, b) => a.byteOffset - b.byteOffset);
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1], sorted[i]];
    if (before.byteOffset + before.byteLength <= after.byteOffset) continue;
    throw new PynqLlmError(
      'GGUF_TENSOR_OVERLAP',
      `The tensor ${after.name} starts at byte ${after.byteOffset}, inside ${before.name}.`,
      {
        context: { offset: after.byteOffset, tensor: after.name, other: before.name },
      },
    );
  }
}

/** Writers may leave out the padding after the last tensor, or write it. */
function checkEnd(
  tensors: readonly GgufTensor[],
  headerEnd: number,
  dataStart: number,
  alignment: number,
  size: number,
): void {
  const end = tensors.reduce(
    (last, tensor) => Math.max(last, tensor.byteOffset + tensor.byteLength),
    headerEnd,
  );
  const limit = Math.max(alignUp(end, alignment), dataStart);
  if (size <= limit) return;
  throw new PynqLlmError(
    'GGUF_TRAILING_DATA',
    `The file has ${size} bytes, but its last tensor ends at byte ${end}.`,
    {
      context: { offset: end, size },
    },
  );
}
