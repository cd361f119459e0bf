import { PynqLlmError } from '../errors/index.js';
import type { HeaderCursor } from './header-cursor.js';
import { INNER_ARRAY_COST, MAX_ARRAY_DEPTH, MAX_KEY_BYTES } from './limits.js';

/** Types of metadata values, with the numbers of the GGUF specification (gguf_metadata_value_type). */
export const GgufValueType = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;
export type GgufValueType = (typeof GgufValueType)[keyof typeof GgufValueType];

/** Array of numbers of up to 32 bits, or of float64, in the type of the file. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** A metadata value. 64-bit integers are numbers where that is exact, else bigints. */
export type GgufValue = number | bigint | boolean | string | GgufNumbers | readonly GgufValue[];

/** Least bytes of a value in a file: of a string its length, of an array its element type and count. */
const LEAST_BYTES: Readonly<Record<GgufValueType, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  8: 8,
  9: 12,
  10: 8,
  11: 8,
  12: 8,
};

/** Least bytes of a pair: length of the key, type of the value, one byte of value. */
const LEAST_PAIR_BYTES = 13;

/** The number of metadata pairs, checked against the file's size. */
export function readMetadataCount(cursor: HeaderCursor): number {
  return cursor.count(LEAST_PAIR_BYTES, 'number of metadata pairs');
}

/** A metadata pair, and where it stands in the file: from `start` up to `end`. */
export interface MetadataPair {
  readonly key: string;
  readonly value: GgufValue;
  readonly start: number;
  readonly end: number;
}

/** Reads `count` key-value pairs one after the other, each of another key. */
export function* readPairs(cursor: HeaderCursor, count: number): Generator<MetadataPair> {
  const keys = new Set<string>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = cursor.name(MAX_KEY_BYTES, 'metadata key');
    if (keys.has(key)) {
      throw new PynqLlmError(
        'GGUF_DUPLICATE_KEY',
        `The metadata key ${JSON.stringify(key)} at byte ${start} has been there before.`,
        {
          context: { offset: start, key },
        },
      );
    }
    cursor.spend(1, 'metadata key');
    keys.add(key);
    const value = readValue(cursor, readType(cursor, key), key, 0);
    yield { key, value, start, end: cursor.position };
  }
}

/** Reads `count` key-value pairs. */
export function readMetadata(cursor: HeaderCursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (const { key, value } of readPairs(cursor, count)) metadata.set(key, value);
  return metadata;
}

function readType(cursor: HeaderCursor, key: string): GgufValueType {
  const offset = cursor.position;
  const type = cursor.u32(`type of ${key}`);
  if (isValueType(type)) return type;
  throw new PynqLlmError(
    'GGUF_BAD_VALUE',
    `${key} has the value type ${type} at byte ${offset}; there are 0 to 12.`,
    {
      context: { offset, key, type },
    },
  );
}

function isValueType(type: number): type is GgufValueType {
  return type in LEAST_BYTES;
}

function readValue(cursor: HeaderCursor, type: GgufValueType, key: string, depth: number): GgufValue {
  switch (type) {
    case GgufValueType.uint8:
      return cursor.u8(key);
    case GgufValueType.int8:
      return cursor.i8(key);
    case GgufValueType.uint16:
      return cursor.u16(key);
    case GgufValueType.int16:
      return cursor.i16(key);
    case GgufValueType.uint32:
      return cursor.u32(key);
    case GgufValueType.int32:
      return cursor.i32(key);
    case GgufValueType.float32:
      return cursor.f32(key);
    case GgufValueType.float64:
      return cursor.f64(key);
    case GgufValueType.bool:
      return readBoolean(cursor, key);
    case GgufValueType.string:
      return cursor.string(key);
    case GgufValueType.uint64:
      return numberWhereExact(cursor.u64(key));
    case GgufValueType.int64:
      return numberWhereExact(cursor.i64(key));
    case GgufValueType.array:
      return readArray(cursor, key, depth + 1);
  }
}

function readArray(cursor: HeaderCursor, key: string, depth: number): GgufValue {
  if (depth > MAX_ARRAY_DEPTH) {
    throw new PynqLlmError(
      'GGUF_NESTING_TOO_DEEP',
      `${key} nests arrays deeper than ${MAX_ARRAY_DEPTH} at byte ${cursor.position}.`,
      {
        context: { offset: cursor.position, key },
      },
    );
  }
  const type = readType(cursor, key);
  const count = cursor.count(LEAST_BYTES[type], `length of the array ${key}`);
  const viewed = readNumbers(cursor, type, count, key);
  if (viewed !== undefined) return viewed;
  cursor.spend(type === GgufValueType.array ? count * INNER_ARRAY_COST : count, key);
  const values = new Array<GgufValue>(count);
  for (let i = 0; i < count; i++) values[i] = readValue(cursor, type, key, depth);
  return values;
}

/** The array in its own binary form where JavaScript has it. Every platform of Node is little-endian here. */
function readNumbers(
  cursor: HeaderCursor,
  type: GgufValueType,
  count: number,
  key: string,
): GgufNumbers | undefined {
  const buffer = (): ArrayBuffer => cursor.bytes(count * LEAST_BYTES[type], key).buffer;
  switch (type) {
    case GgufValueType.uint8:
      return new Uint8Array(buffer());
    case GgufValueType.int8:
      return new Int8Array(buffer());
    case GgufValueType.uint16:
      return new Uint16Array(buffer());
    case GgufValueType.int16:
      return new Int16Array(buffer());
    case GgufValueType.uint32:
      return new Uint32Array(buffer());
    case GgufValueType.int32:
      return new Int32Array(buffer());
    case GgufValueType.float32:
      return new Float32Array(buffer());
    case GgufValueType.float64:
      return new Float64Array(buffer());
    default:
      return undefined;
  }
}

function readBoolean(cursor: HeaderCursor, key: string): boolean {
  const offset = cursor.position;
  const byte = cursor.u8(key);
  if (byte <= 1) return byte === 1;
  throw new PynqLlmError(
    'GGUF_BAD_VALUE',
    `${key} is a boolean with the byte ${byte} at byte ${offset}; only 0 and 1 are valid.`,
    {
      context: { offset, key, byte },
    },
  );
}

function numberWhereExact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
