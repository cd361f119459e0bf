import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, dequantizeRow, GgmlType } from '../../../gguf/index.js';

interface Blocks {
  readonly columns: number;
  readonly types: Readonly<
    Record<string, { id: number; bytesPerRow: number; bytes: string; floats: string }>
  >;
}

const FILE = join('test', 'fixtures', 'blocks.json');
const kit: Blocks = JSON.parse(readFileSync(FILE, 'utf8'));
const isType = (name: string): name is keyof typeof GgmlType => Object.hasOwn(GgmlType, name);

describe('blocks of stored types', () => {
  it.each(Object.entries(kit.types))('%s give llama.cpp’s float32, to the bit', (name, blocks) => {
    if (!isType(name)) throw new Error(`${name} is not read`);
    const type = GgmlType[name];
    expect(type).toBe(blocks.id);
    const { columns } = kit;
    const { blockSize, blockBytes } = BLOCK_FORMATS[type];
    expect((columns / blockSize) * blockBytes).toBe(blocks.bytesPerRow);
    const bytes = Buffer.from(blocks.bytes, 'base64');
    const expected = Buffer.from(blocks.floats, 'base64');
    const values = new Float32Array((bytes.length / blocks.bytesPerRow) * columns);
    dequantizeRow(type, bytes, values.length, values);
    expect(Buffer.from(values.buffer).equals(expected)).toBe(true);
  });
});
