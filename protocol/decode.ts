import { PynqLlmError } from '../errors/index.js';
import { type FrameBytes, frameBytes } from './frame-bytes.js';
import { MAX_DEPTH, MAX_MAP_KEYS, MAX_VALUES } from './limits.js';

/** Map keys that reach an object's prototype in JavaScript. */
const REFUSED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Keys and names come again and again: their strings are kept, so many, each at a place that its bytes decide. */
const KEPT_STRINGS = 512;
const LONGEST_KEPT = 32;

/** The frame that is decoded: a frame is decoded in one go, so one set of variables serves all. */
let bytes: FrameBytes;
let offset: number;
let values: number;
const kept: string[] = Array.from({ length: KEPT_STRINGS }, () => '');

/**
 * Decodes one MessagePack value and checks it on the way: what is cut off, nested too deeply, too many values, of an
 * extension type or dangerous as a key is refused before it is built. Binary values are views of the frame.
 *
 * Source: the MessagePack specification, "Formats".
 * @throws PynqLlmError PROTOCOL_FRAME_MALFORMED, PROTOCOL_FRAME_TOO_COMPLEX or PROTOCOL_TYPE_REFUSED
 */
export function decodeMessagePack(frame: Uint8Array): unknown {
  bytes = frameBytes(frame);
  offset = 0;
  values = 0;
  const value = readValue(0);
  if (offset !== bytes.length) throw malformed(`${bytes.length - offset} bytes follow its end`);
  return value;
}

function readValue(depth: number): unknown {
  if (++values > MAX_VALUES) throw tooComplex(`of more than ${MAX_VALUES} values`);
  const type = bytes[take(1)];
  if (type <= 0x7f) return type;
  if (type <= 0x8f) return readMap(type & 0x0f, depth);
  if (type <= 0x9f) return readArray(type & 0x0f, depth);
  if (type <= 0xbf) return readString(type & 0x1f);
  if (type >= 0xe0) return type - 0x100;
  switch (type) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
      return readBinary(bytes.readUInt8(take(1)));
    case 0xc5:
      return readBinary(bytes.readUInt16BE(take(2)));
    case 0xc6:
      return readBinary(bytes.readUInt32BE(take(4)));
    case 0xca:
      return bytes.readFloatBE(take(4));
    case 0xcb:
      return bytes.readDoubleBE(take(8));
    case 0xcc:
      return bytes.readUInt8(take(1));
    case 0xcd:
      return bytes.readUInt16BE(take(2));
    case 0xce:
      return bytes.readUInt32BE(take(4));
    case 0xcf:
      return Number(bytes.readBigUInt64BE(take(8)));
    case 0xd0:
      return bytes.readInt8(take(1));
    case 0xd1:
      return bytes.readInt16BE(take(2));
    case 0xd2:
      return bytes.readInt32BE(take(4));
    case 0xd3:
      return Number(bytes.readBigInt64BE(take(8)));
    case 0xd9:
      return readString(bytes.readUInt8(take(1)));
    case 0xda:
      return readString(bytes.readUInt16BE(take(2)));
    case 0xdb:
      return readString(bytes.readUInt32BE(take(4)));
    case 0xdc:
      return readArray(bytes.readUInt16BE(take(2)), depth);
    case 0xdd:
      return readArray(bytes.readUInt32BE(take(4)), depth);
    case 0xde:
      return readMap(bytes.readUInt16BE(take(2)), depth);
    case 0xdf:
      return readMap(bytes.readUInt32BE(take(4)), depth);
    case 0xc1:
      throw malformed('type byte 0xc1 is not used by MessagePack');
    default:
      throw new PynqLlmError('PROTOCOL_TYPE_REFUSED', 'A frame holds a MessagePack extension type.');
  }
}

function readMap(count: number, depth: number): Record<string, unknown> {
  enter(count, depth);
  if (count > MAX_MAP_KEYS) throw tooComplex(`of maps with more than ${MAX_MAP_KEYS} keys`);
  const map: Record<string, unknown> = {};
  for (let i = 0; i < count; i++) {
    const key = readKey();
    map[key] = readValue(depth + 1);
  }
  return map;
}

function readArray(count: number, depth: number): unknown[] {
  enter(count, depth);
  const array: unknown[] = [];
  for (let i = 0; i < count; i++) array.push(readValue(depth + 1));
  return array;
}

/** Every value takes at least a byte: a count beyond the frame is refused before anything is built. */
function enter(count: number, depth: number): void {
  if (depth >= MAX_DEPTH) throw tooComplex(`more than ${MAX_DEPTH} levels deep`);
  if (count > bytes.length - offset) throw malformed(`a container claims ${count} entries`);
}

function readKey(): string {
  if (++values > MAX_VALUES) throw tooComplex(`of more than ${MAX_VALUES} values`);
  const type = bytes[take(1)];
  let length: number;
  if (type >= 0xa0 && type <= 0xbf) length = type & 0x1f;
  else if (type === 0xd9) length = bytes.readUInt8(take(1));
  else if (type === 0xda) length = bytes.readUInt16BE(take(2));
  else if (type === 0xdb) length = bytes.readUInt32BE(take(4));
  else throw malformed('a map key is not a string');
  const key = readString(length);
  if (REFUSED_KEYS.has(key))
    throw new PynqLlmError('PROTOCOL_TYPE_REFUSED', `A frame holds the map key "${key}".`);
  return key;
}

function readString(length: number): string {
  const start = take(length);
  if (length === 0 || length > LONGEST_KEPT) return bytes.toString('utf8', start, offset);
  const place = (bytes[start] * 31 + bytes[offset - 1] * 7 + length * 101) % KEPT_STRINGS;
  const candidate = kept[place];
  if (candidate.length === length) {
    let i = 0;
    while (i < length && candidate.charCodeAt(i) === bytes[start + i]) i++;
    // Only ASCII is kept: there a character is a byte.
    if (i === length) return candidate;
  }
  const text = bytes.toString('utf8', start, offset);
  if (text.length === length) kept[place] = text;
  return text;
}

function readBinary(length: number): Uint8Array {
  const start = take(length);
  return bytes.subarray(start, start + length);
}

function take(count: number): number {
  const start = offset;
  offset += count;
  if (offset > bytes.length) throw malformed(`it ends ${offset - bytes.length} bytes too early`);
  return start;
}

function malformed(reason: string): PynqLlmError {
  return new PynqLlmError('PROTOCOL_FRAME_MALFORMED', `A frame cannot be read: ${reason}.`);
}

function tooComplex(reason: string): PynqLlmError {
  return new PynqLlmError('PROTOCOL_FRAME_TOO_COMPLEX', `A frame is ${reason}.`);
}
