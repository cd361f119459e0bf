import { expect, it } from 'vitest';
import { syntheticHeader, TINY_LLAMA_Q3_K_S } from '../../../../bench/synthetic-model.js';
import { neededChunks } from '../../../../fleet/gateway/chunks-of-stage.js';
import { CHUNK_BYTES } from '../../../../protocol/index.js';

const gguf = syntheticHeader(TINY_LLAMA_Q3_K_S);
const bytes = Math.max(...[...gguf.tensors.values()].map((one) => one.byteOffset + one.byteLength));
const ranges = [
  { from: 0, to: 6 },
  { from: 6, to: 12 },
  { from: 12, to: 18 },
  { from: 18, to: 22 },
];

it('a stage needs the chunks of the header, of its layers, and of what goes with the first or the last ones', () => {
  for (const range of ranges) {
    const wanted = neededChunks(gguf, bytes, range);
    expect(wanted[0]).toBe(1);
    for (const { name, byteOffset, byteLength } of gguf.tensors.values()) {
      const layer = /^blk\.(\d+)\./.exec(name)?.[1];
      const isOwn =
        layer === undefined
          ? name === 'token_embd.weight'
            ? range.from === 0
            : name !== 'output.weight' || range.to === 22
          : Number(layer) >= range.from && Number(layer) < range.to;
      if (!isOwn) continue;
      const last = Math.floor((byteOffset + byteLength - 1) / CHUNK_BYTES);
      for (let chunk = Math.floor(byteOffset / CHUNK_BYTES); chunk <= last; chunk++)
        expect(wanted[chunk], `${name}, chunk ${chunk}`).toBe(1);
    }
  }
});

it('four stages fetch hardly more than the file together, and the whole range all of it', () => {
  const count = (wanted: Uint8Array) => wanted.reduce((sum, one) => sum + one, 0);
  const each = ranges.map((range) => count(neededChunks(gguf, bytes, range)));
  const all = Math.ceil(bytes / CHUNK_BYTES);
  expect(count(neededChunks(gguf, bytes, { from: 0, to: 22 }))).toBe(all);
  const sum = each.reduce((total, one) => total + one, 0);
  expect(sum).toBeGreaterThanOrEqual(all);
  expect(sum).toBeLessThan(1.1 * all);
});
