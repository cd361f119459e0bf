// Adds `pynq_llm.stop` to a GGUF file in place: texts that end what the model writes, where it writes them as ordinary tokens.
// Nothing else changes: the other metadata, the order of tensors, their bytes and the alignment stay.
//
//     node scripts/add-stop-strings.mjs FILE.gguf TEXT [TEXT ...]
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const KEY = 'pynq_llm.stop';
const STRING = 8;
const ARRAY = 9;
/** Bytes of a value by its type in the file; strings and arrays say theirs. */
const BYTES = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];

const [path, ...texts] = process.argv.slice(2);
if (path === undefined || texts.length === 0)
  throw new Error('usage: node scripts/add-stop-strings.mjs FILE.gguf TEXT [TEXT ...]');
const file = readFileSync(path);
if (file.toString('latin1', 0, 4) !== 'GGUF' || file.readUInt32LE(4) !== 3)
  throw new Error(`${path} is no GGUF file of version 3`);

const { metadataEnd, headerEnd, alignment } = places();
const header = [file.subarray(0, metadataEnd), pair(), file.subarray(metadataEnd, headerEnd)];
const written = header.reduce((bytes, part) => bytes + part.length, 0);
const data = file.subarray(alignUp(headerEnd));
const changed = Buffer.concat([...header, Buffer.alloc(alignUp(written) - written), data]);
changed.writeBigUInt64LE(file.readBigUInt64LE(16) + 1n, 16);
writeFileSync(`${path}.new`, changed);
renameSync(`${path}.new`, path);

/** Where the metadata and the header end. */
function places() {
  let at = 24;
  const u32 = () => {
    at += 4;
    return file.readUInt32LE(at - 4);
  };
  const u64 = () => {
    at += 8;
    return Number(file.readBigUInt64LE(at - 8));
  };
  const string = () => {
    const length = u64();
    at += length;
    return file.toString('utf8', at - length, at);
  };
  const skip = (type) => {
    if (type === STRING) string();
    else if (type === ARRAY) {
      const of = u32();
      for (let left = u64(); left > 0; left--) skip(of);
    } else at += BYTES[type];
  };
  let alignment = 32;
  for (let left = Number(file.readBigUInt64LE(16)); left > 0; left--) {
    const key = string();
    if (key === KEY) throw new Error(`${path} has ${KEY} already`);
    const type = u32();
    if (key === 'general.alignment') alignment = file.readUInt32LE(at);
    skip(type);
  }
  const metadataEnd = at;
  for (let left = Number(file.readBigUInt64LE(8)); left > 0; left--) {
    string();
    const dimensions = u32();
    at += 8 * dimensions + 4 + 8;
  }
  return { metadataEnd, headerEnd: at, alignment };
}

function pair() {
  return Buffer.concat([
    text(KEY),
    u32Bytes(ARRAY),
    u32Bytes(STRING),
    u64Bytes(texts.length),
    ...texts.map(text),
  ]);
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64Bytes(bytes.length), bytes]);
}

function u32Bytes(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64Bytes(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function alignUp(offset) {
  return Math.ceil(offset / alignment) * alignment;
}
