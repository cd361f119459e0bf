import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeaderBuilder } from '../../../gguf/header-builder.js';
import { HeaderCursor } from '../../../gguf/header-cursor.js';
import { bytesSource, openGguf } from '../../../gguf/index.js';
import { readPairs } from '../../../gguf/metadata.js';
import { alignUp, readPreamble } from '../../../gguf/reader.js';

const [UINT16, INT32] = [2, 5];

/** What a part says of itself. */
export interface PartFacts {
  readonly number: number;
  readonly count: number;
  readonly tensors: number;
}

/**
 * Cuts a model as llama-gguf-split does: the first part has all metadata and those of splitting behind, every other part
 * only these; tensors follow in the file's order, each part's from its own beginning, padded to 32.
 * @param most tensors in a part
 * @param lie about what a part says of itself
 * @returns paths of the parts in `folder`, in order
 */
export function splitFile(
  path: string,
  folder: string,
  name: string,
  most: number,
  lie: (facts: PartFacts) => PartFacts = (facts) => facts,
): string[] {
  const bytes = readFileSync(path);
  const source = bytesSource(bytes);
  const tensors = [...openGguf(source).tensors.values()];
  const cursor = new HeaderCursor(source);
  const { pairCount } = readPreamble(cursor, source);
  const pairs = [...readPairs(cursor, pairCount)];
  const count = Math.ceil(tensors.length / most);
  return Array.from({ length: count }, (_, i) => {
    const own = tensors.slice(i * most, (i + 1) * most);
    const header = new HeaderBuilder();
    header.raw(new TextEncoder().encode('GGUF'));
    header.u32(3);
    header.u64(own.length);
    header.u64(3 + (i === 0 ? pairs.length : 0));
    if (i === 0) for (const { start, end } of pairs) header.raw(bytes.subarray(start, end));
    const said = lie({ number: i, count, tensors: tensors.length });
    header.string('split.no');
    header.u32(UINT16);
    header.u16(said.number);
    header.string('split.count');
    header.u32(UINT16);
    header.u16(said.count);
    header.string('split.tensors.count');
    header.u32(INT32);
    header.u32(said.tensors);
    let offset = 0;
    for (const { name: tensor, shape, type, byteLength } of own) {
      header.string(tensor);
      header.u32(shape.length);
      for (const length of shape) header.u64(length);
      header.u32(type);
      header.u64(offset);
      offset += alignUp(byteLength, 32);
    }
    const data = own.flatMap(({ byteOffset, byteLength }) => [
      bytes.subarray(byteOffset, byteOffset + byteLength),
      new Uint8Array(alignUp(byteLength, 32) - byteLength),
    ]);
    const file = join(folder, partName(name, i + 1, count));
    writeFileSync(file, Buffer.concat([header.finish(32), ...data]));
    return file;
  });
}

export function partName(name: string, number: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, '0');
  return `${name}-${digits(number)}-of-${digits(count)}.gguf`;
}
