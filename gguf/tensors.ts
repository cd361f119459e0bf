import { PynqLlmError } from '../errors/index.js';
import type { HeaderCursor } from './header-cursor.js';
import { MAX_TENSOR_NAME_BYTES, MAX_TENSORS } from './limits.js';
import { BLOCK_FORMATS, GgmlType, isGgmlType } from './types.js';

/** A tensor of a file, as rows of `columns` values. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Lengths in the file's order: shape[0] is the length of a row. One to four. */
  readonly shape: readonly number[];
  /** K: values in a row. */
  readonly columns: number;
  /** M: rows, over all further dimensions. */
  readonly rows: number;
  /** Bytes of a row as it is stored, which may be padded: see padded-rows.ts. */
  readonly rowBytes: number;
  /** Where the data start, in bytes from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A tensor before it is known where the data section starts. */
export interface TensorInfo extends Omit<GgufTensor, 'byteOffset'> {
  /** Bytes from the start of the data section. */
  readonly dataOffset: number;
  /** Where in the header the tensor is declared, for errors. */
  readonly declaredAt: number;
}

/** Least bytes of a tensor in the list: name length, one byte, dimensions, one length, type, offset. */
const LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

/** The number of tensors, checked against the file's size. */
export function readTensorCount(cursor: HeaderCursor): number {
  const offset = cursor.position;
  const count = cursor.count(LEAST_TENSOR_BYTES, 'number of tensors');
  if (count <= MAX_TENSORS) return count;
  throw new PynqLlmError(
    'GGUF_HEADER_TOO_LARGE',
    `The file declares ${count} tensors; the limit is ${MAX_TENSORS}.`,
    {
      context: { offset, count, limit: MAX_TENSORS },
    },
  );
}

/** Reads the list of `count` tensors. */
export function readTensorInfos(cursor: HeaderCursor, count: number): TensorInfo[] {
  const names = new Set<string>();
  const infos: TensorInfo[] = [];
  for (let i = 0; i < count; i++) {
    const info = readTensorInfo(cursor);
    if (names.has(info.name)) {
      throw new PynqLlmError(
        'GGUF_DUPLICATE_TENSOR',
        `The tensor ${info.name} at byte ${info.declaredAt} has been there before.`,
        {
          context: { offset: info.declaredAt, tensor: info.name },
        },
      );
    }
    names.add(info.name);
    infos.push(info);
  }
  return infos;
}

function readTensorInfo(cursor: HeaderCursor): TensorInfo {
  const declaredAt = cursor.position;
  const name = cursor.name(MAX_TENSOR_NAME_BYTES, 'tensor name');
  const shape = readShape(cursor, name);
  const type = readTensorType(cursor, name);
  const dataOffset = safe(cursor.u64(`offset of ${name}`));
  const { name: typeName, blockSize, blockBytes } = BLOCK_FORMATS[type];
  const columns = shape[0];
  const rows = shape.slice(1).reduce((product, length) => product * length, 1);
  if (columns % blockSize !== 0) {
    throw new PynqLlmError(
      'GGUF_ROW_NOT_WHOLE_BLOCKS',
      `The rows of ${name} have ${columns} values, which is not a multiple of ${typeName}'s ${blockSize}.`,
      {
        context: { offset: declaredAt, tensor: name, columns, blockSize },
      },
    );
  }
  const rowBytes = (columns / blockSize) * blockBytes;
  return { name, type, shape, columns, rows, rowBytes, byteLength: rows * rowBytes, dataOffset, declaredAt };
}

function readShape(cursor: HeaderCursor, name: string): number[] {
  const offset = cursor.position;
  const dimensions = cursor.u32(`number of dimensions of ${name}`);
  if (dimensions < 1 || dimensions > 4) {
    throw new PynqLlmError(
      'GGUF_BAD_DIMENSIONS',
      `The tensor ${name} has ${dimensions} dimensions at byte ${offset}; one to four are possible.`,
      {
        context: { offset, tensor: name, dimensions },
      },
    );
  }
  const shape = Array.from({ length: dimensions }, () => safe(cursor.u64(`dimensions of ${name}`)));
  // Four bytes an element at most, so the bytes can be counted exactly too; infinity and 0 fail alike.
  const elements = shape.reduce((product, length) => product * length, 1);
  if (!(elements >= 1 && elements <= Number.MAX_SAFE_INTEGER / 4)) {
    throw new PynqLlmError(
      'GGUF_BAD_DIMENSIONS',
      `The tensor ${name} at byte ${offset} has the shape ${shape.join(' x ')}, which is empty or too large to count.`,
      {
        context: { offset, tensor: name, shape },
      },
    );
  }
  return shape;
}

function readTensorType(cursor: HeaderCursor, name: string): GgmlType {
  const offset = cursor.position;
  const type = cursor.u32(`type of ${name}`);
  if (isGgmlType(type) && type !== GgmlType.Q8_K) return type;
  const known = OTHER_TYPES[type];
  throw new PynqLlmError(
    'GGUF_UNSUPPORTED_TENSOR_TYPE',
    `The tensor ${name} has the type ${known ?? `number ${type}`} at byte ${offset}, which ${known ? 'is not supported' : 'is unknown'}.`,
    {
      context: { offset, tensor: name, type },
    },
  );
}

/** A 64-bit length or offset as a number; one that no number holds exactly is infinite, and fails its checks. */
function safe(value: bigint): number {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.POSITIVE_INFINITY;
}

/** Names of GGML's other types (ggml.h), so that an error can say what is in a file. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  40: 'NVFP4',
};
