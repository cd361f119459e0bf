import { PynqLlmError } from '../errors/index.js';
import { MAX_DEPTH, MAX_VALUES } from './limits.js';

/** Map keys that reach an object's prototype in JavaScript. */
const REFUSED_KEYS = ['__proto__', 'constructor', 'prototype'].map((key) => ({
  key,
  bytes: new TextEncoder().encode(key),
}));

/**
 * Checks the structure of one MessagePack value without building it, so that the decoder only ever sees frames
 * that are whole, shallow and of plain types. Iterative: hostile nesting cannot overflow the stack.
 *
 * Source: the MessagePack specification, "Formats".
 * @throws PynqLlmError PROTOCOL_FRAME_MALFORMED, PROTOCOL_FRAME_TOO_COMPLEX or PROTOCOL_TYPE_REFUSED
 */
export function scanMessagePack(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values still to come per open container; a map counts keys and values, and `isMap` tells them apart. */
  const remaining = new Uint32Array(MAX_DEPTH);
  const isMap = new Uint8Array(MAX_DEPTH);
  let depth = 0;
  let values = 0;
  let offset = 0;

  const take = (count: number): number => {
    const start = offset;
    offset += count;
    if (offset > bytes.length) throw malformed(`it ends ${offset - bytes.length} bytes too early`);
    return start;
  };
  const open = (count: number, map: boolean): void => {
    if (depth === MAX_DEPTH) throw tooComplex(`more than ${MAX_DEPTH} levels deep`);
    // Every value takes at least a byte: a count beyond the frame is refused before anything is counted down.
    if (count > bytes.length - offset) throw malformed(`a container claims ${count} entries`);
    remaining[depth] = map ? count * 2 : count;
    isMap[depth] = map ? 1 : 0;
    depth++;
  };

  do {
    if (++values > MAX_VALUES) throw tooComplex(`more than ${MAX_VALUES} values`);
    let key = false;
    if (depth > 0) {
      key = isMap[depth - 1] === 1 && remaining[depth - 1] % 2 === 0;
      remaining[depth - 1]--;
    }
    const type = bytes[take(1)];
    let stringLength = -1;
    if (type >= 0xa0 && type <= 0xbf) stringLength = type & 0x1f;
    else if (type === 0xd9) stringLength = view.getUint8(take(1));
    else if (type === 0xda) stringLength = view.getUint16(take(2));
    else if (type === 0xdb) stringLength = view.getUint32(take(4));
    if (key && stringLength < 0) throw malformed('a map key is not a string');

    if (stringLength >= 0) {
      const start = take(stringLength);
      if (key) refusePrototypeKey(bytes, start, stringLength);
    } else if (type <= 0x7f || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) {
      // A small integer, nil, false or true: the type byte is all of it.
    } else if (type <= 0x8f) open(type & 0x0f, true);
    else if (type <= 0x9f) open(type & 0x0f, false);
    else if (type === 0xc4) take(view.getUint8(take(1)));
    else if (type === 0xc5) take(view.getUint16(take(2)));
    else if (type === 0xc6) take(view.getUint32(take(4)));
    else if (type === 0xca) take(4);
    else if (type === 0xcb) take(8);
    else if (type >= 0xcc && type <= 0xcf) take(1 << (type - 0xcc));
    else if (type >= 0xd0 && type <= 0xd3) take(1 << (type - 0xd0));
    else if (type === 0xdc) open(view.getUint16(take(2)), false);
    else if (type === 0xdd) open(view.getUint32(take(4)), false);
    else if (type === 0xde) open(view.getUint16(take(2)), true);
    else if (type === 0xdf) open(view.getUint32(take(4)), true);
    else if (type === 0xc1) throw malformed('type byte 0xc1 is not used by MessagePack');
    else throw new PynqLlmError('PROTOCOL_TYPE_REFUSED', 'A frame holds a MessagePack extension type.');

    while (depth > 0 && remaining[depth - 1] === 0) depth--;
  } while (depth > 0);

  if (offset !== bytes.length) throw malformed(`${bytes.length - offset} bytes follow its end`);
}

function refusePrototypeKey(bytes: Uint8Array, start: number, length: number): void {
  for (const refused of REFUSED_KEYS) {
    if (refused.bytes.length === length && refused.bytes.every((byte, i) => byte === bytes[start + i]))
      throw new PynqLlmError('PROTOCOL_TYPE_REFUSED', `A frame holds the map key "${refused.key}".`);
  }
}

function malformed(reason: string): PynqLlmError {
  return new PynqLlmError('PROTOCOL_FRAME_MALFORMED', `A frame cannot be read: ${reason}.`);
}

function tooComplex(reason: string): PynqLlmError {
  return new PynqLlmError('PROTOCOL_FRAME_TOO_COMPLEX', `A frame is ${reason}.`);
}
