import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SMALL_BLOCK_READERS } from '../../../../gguf/blocks/codecs.js';
import { newSmallBlock } from '../../../../gguf/blocks/small-blocks.js';
import {
  BLOCK_FORMATS,
  bytesSource,
  dequantizeRow,
  floatToHalf,
  GgmlType,
  GgufFile,
  type GgufTensor,
  newSuperBlock,
  rowBytes,
  SUPER_BLOCK,
  SUPER_BLOCK_CODECS,
} from '../../../../gguf/index.js';
import { type CoreForm, coreForm } from '../../../../llm/core-form/core-form.js';
import { RowConverter } from '../../../../llm/core-form/row-converter.js';
import { weightLoss } from '../../../../llm/core-form/weight-loss.js';
import { Random } from '../../../../maths/index.js';

const Q6K_BYTES = BLOCK_FORMATS[GgmlType.Q6_K].blockBytes;

/** Blocks of every type that llama.cpp made, tiny scales, offsets and outliers among them. */
const stored = JSON.parse(readFileSync('test/fixtures/blocks.json', 'utf8')) as {
  types: Record<string, { id: GgmlType; bytesPerRow: number; bytes: string }>;
};

function formOf(type: GgmlType, columns: number): CoreForm {
  const form = coreForm(type, columns, 'all');
  if (form === undefined) throw new Error(`no form of ${type}`);
  return form;
}

/** Both parts of a row together, without what it was padded with. */
function valuesOf(form: CoreForm, blocks: Uint8Array, columns: number): Float64Array {
  const all = new Float32Array(form.columns);
  dequantizeRow(form.type, blocks, form.columns, all);
  const padded = form.columns / form.parts;
  for (let part = 0; part < form.parts; part++) {
    const end = all.subarray(part * padded + columns, (part + 1) * padded);
    expect(end.every((value) => value === 0)).toBe(true);
  }
  return Float64Array.from({ length: columns }, (_, i) => all[i] + (form.parts === 2 ? all[padded + i] : 0));
}

/** A row of random weights as a type has them, by what the blocks of the fixture hold in another order. */
function rowOf(type: GgmlType, columns: number, seed: number): Uint8Array {
  const { blockBytes, blockSize } = BLOCK_FORMATS[type];
  const random = new Random(seed);
  if (blockSize === 1) {
    const floats = Float32Array.from({ length: columns }, () => (random.nextDouble() - 0.5) * 0.1);
    const words = new Uint16Array(columns);
    if (type === GgmlType.F32) return new Uint8Array(floats.buffer);
    for (let i = 0; i < columns; i++) words[i] = 0x2000 + Math.floor(random.nextDouble() * 0x800);
    return new Uint8Array(words.buffer);
  }
  const found = Object.values(stored.types).find(({ id }) => id === type)!;
  const blocks = Buffer.from(found.bytes, 'base64');
  const row = new Uint8Array(rowBytes(type, columns));
  for (let at = 0; at < row.length; at += blockBytes) {
    const from = Math.floor((random.nextDouble() * blocks.length) / blockBytes) * blockBytes;
    row.set(blocks.subarray(from, from + blockBytes), at);
  }
  return row;
}

const types = Object.values(GgmlType).filter(
  (type) => type !== GgmlType.Q8_K && !/^Q\d_K$/.test(BLOCK_FORMATS[type].name),
);
const isSmall = (type: GgmlType) => BLOCK_FORMATS[type].blockSize === 32;
const columnsOf = (type: GgmlType) =>
  BLOCK_FORMATS[type].blockSize === 256 ? [256, 768] : [32, 96, 160, 256, 576, 896];

describe('rows of other types as Q6_K', () => {
  it.each(types.map((type) => [BLOCK_FORMATS[type].name, type] as const))(
    'of %s lose no more than is said',
    (_, type) => {
      for (const columns of columnsOf(type)) {
        const form = formOf(type, columns);
        const converter = new RowConverter(columns);
        for (let seed = 0; seed < 20; seed++) {
          const row = rowOf(type, columns, seed);
          const before = new Float32Array(columns);
          dequantizeRow(type, row, columns, before);
          const after = valuesOf(form, converter.convert({ type, columns }, form, row), columns);
          for (let block = 0; block < columns; block += SUPER_BLOCK) {
            const end = Math.min(columns, block + SUPER_BLOCK);
            const most = before.subarray(block, end).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
            // A scale is rounded to 1/254 of the largest; of floats a part has 62 steps; a half has no unit below 2^-24.
            const bound =
              form.made === 'integers' ? most / 200 : form.parts === 2 ? most / 3000 + 2 ** -23 : most / 55;
            const exact = form.made === 'integers' && !isSmall(type);
            let worst = 0;
            for (let i = block; i < end; i++) worst = Math.max(worst, Math.abs(after[i] - before[i]));
            // Of these d is an eighth or a quarter of a half.
            const isDivided = /^IQ(1|3_XXS)/.test(BLOCK_FORMATS[type].name);
            const least = isDivided ? 2 ** -14 : 2 ** -20;
            expect(worst).toBeLessThanOrEqual((exact ? most * 1e-7 : bound) + least);
          }
        }
      }
    },
  );

  it.each(['Q4_0', 'Q5_0', 'MXFP4'] as const)('of %s keep every integer', (name) => {
    const type = GgmlType[name];
    const read = SMALL_BLOCK_READERS[type]!;
    const [small, block] = [newSmallBlock(), newSuperBlock()];
    const columns = 416;
    const converter = new RowConverter(columns);
    const form = formOf(type, columns);
    expect(form).toMatchObject({ made: 'integers', parts: 1, columns: 512 });
    for (let seed = 0; seed < 10; seed++) {
      const row = rowOf(type, columns, 100 + seed);
      const made = converter.convert({ type, columns }, form, row);
      for (let at = 0; at < columns; at += 32) {
        read(row, (at / 32) * BLOCK_FORMATS[type].blockBytes, small);
        SUPER_BLOCK_CODECS[6].unpack(made, Math.floor(at / SUPER_BLOCK) * Q6K_BYTES, block);
        const within = at % SUPER_BLOCK;
        if (block.d === 0) continue;
        expect([...block.quants.subarray(within, within + 32)]).toEqual([...small.quants]);
        const [one, other] = [block.scales[within / 16], block.scales[within / 16 + 1]];
        expect(one).toBe(other);
        expect(Math.abs(one * block.d - small.d)).toBeLessThanOrEqual(block.d * 0.501);
      }
    }
  });

  it('of Q5_0 add to its own error what the documentation says, and no more', () => {
    const columns = 768;
    const random = new Random(3);
    const gauss = () =>
      Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble());
    const form = formOf(GgmlType.Q5_0, columns);
    const converter = new RowConverter(columns);
    let [own, all, squares] = [0, 0, 0];
    for (let n = 0; n < 60; n++) {
      const values = Float32Array.from({ length: columns }, () => 0.02 * gauss());
      const row = quantizeQ5_0(values);
      const before = new Float32Array(columns);
      dequantizeRow(GgmlType.Q5_0, row, columns, before);
      const after = valuesOf(form, converter.convert({ type: GgmlType.Q5_0, columns }, form, row), columns);
      for (let i = 0; i < columns; i++) {
        own += (before[i] - values[i]) ** 2;
        all += (after[i] - values[i]) ** 2;
        squares += values[i] ** 2;
      }
    }
    [own, all] = [own, all].map((sum) => Math.sqrt(sum / squares));
    expect(own).toBeGreaterThan(0.04);
    expect(all / own).toBeLessThan(1.002);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'of floats with %f give products that are no numbers',
    (value) => {
      const values = new Float32Array(512).fill(0.5);
      values[300] = value;
      const form = formOf(GgmlType.F32, 512);
      const made = new RowConverter(512).convert(
        { type: GgmlType.F32, columns: 512 },
        form,
        new Uint8Array(values.buffer),
      );
      const floats = new Float32Array(form.columns);
      dequantizeRow(GgmlType.Q6_K, made, form.columns, floats);
      expect(floats[0]).toBeCloseTo(0.5, 3);
      expect(floats[300]).toBeNaN();
    },
  );

  it('are the same read in whatever ranges, and only those are read', () => {
    const [rows, columns, type] = [37, 160, GgmlType.Q8_0] as const;
    const bytes = Buffer.concat(Array.from({ length: rows }, (_, i) => rowOf(type, columns, i)));
    const tensor = tensorOf('t', type, rows, columns);
    const form = formOf(type, columns);
    const reads: [number, number][] = [];
    const source = bytesSource(bytes);
    const counted = {
      size: source.size,
      readInto: (at: number, into: Uint8Array) => {
        reads.push([at, into.length]);
        source.readInto(at, into);
      },
    };
    const read = new RowConverter(columns).reader(counted, tensor, form);
    const rowLength = (form.columns / SUPER_BLOCK) * Q6K_BYTES;
    const whole = new Uint8Array(rows * rowLength);
    read(0, rows, whole);
    reads.length = 0;
    const part = new Uint8Array(5 * rowLength);
    read(11, 5, part);
    expect(part).toEqual(whole.subarray(11 * rowLength, 16 * rowLength));
    expect(reads).toEqual([[11 * tensor.rowBytes, 5 * tensor.rowBytes]]);
  });

  it('have a loss that is measured: none of what is exact, more of one part than of two', () => {
    const lossOf = (type: GgmlType) => {
      const [rows, columns] = [8, 256];
      const bytes = Buffer.concat(Array.from({ length: rows }, (_, i) => rowOf(type, columns, i)));
      const tensor = tensorOf('t', type, rows, columns);
      const gguf = new GgufFile(bytesSource(bytes), 3, new Map(), new Map([['t', tensor]]));
      return weightLoss(gguf, tensor, formOf(type, columns));
    };
    expect(lossOf(GgmlType.IQ4_XS)).toBe(0);
    expect(lossOf(GgmlType.F32)).toBeLessThan(5e-4);
    expect(lossOf(GgmlType.F32)).toBeGreaterThan(0);
    expect(lossOf(GgmlType.IQ2_S)).toBeGreaterThan(1e-3);
  });
});

function tensorOf(name: string, type: GgmlType, rows: number, columns: number): GgufTensor {
  const bytes = rowBytes(type, columns);
  return {
    name,
    type,
    shape: [columns, rows],
    rows,
    columns,
    rowBytes: bytes,
    byteOffset: 0,
    byteLength: rows * bytes,
  };
}

/** As quantize_row_q5_0_ref of ggml: of 32 values the one of the largest magnitude becomes -16. */
function quantizeQ5_0(values: Float32Array): Uint8Array {
  const out = new Uint8Array(rowBytes(GgmlType.Q5_0, values.length));
  const view = new DataView(out.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    const part = values.subarray(32 * block, 32 * block + 32);
    const most = part.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const half = floatToHalf(most / -16);
    const at = 22 * block;
    view.setUint16(at, half, true);
    let high = 0;
    for (let i = 0; i < 32; i++) {
      const quant = Math.min(31, Math.floor((part[i] * -16) / most + 16.5));
      high |= ((quant >> 4) << i) >>> 0;
      out[at + 6 + (i & 15)] |= (quant & 15) << (i < 16 ? 0 : 4);
    }
    view.setUint32(at + 2, high >>> 0, true);
  }
  return out;
}
