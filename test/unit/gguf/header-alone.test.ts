import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  openGguf,
  openHeader,
  syntheticLlamaHeader,
  TINY_LLAMA_1B,
} from '../../../gguf/index.js';

describe('a file that ends with its header', () => {
  const bytes = syntheticLlamaHeader({ ...TINY_LLAMA_1B, seed: 1 });

  it('is read by who asks for no weights, and by nobody else', () => {
    expect(openHeader(bytesSource(bytes)).tensors.get('output.weight')).toMatchObject({
      rows: 32_000,
      columns: 2048,
    });
    expect(() => openGguf(bytesSource(bytes))).toThrow(/GGUF_TRUNCATED/);
  });

  it('is refused where the header itself is cut', () => {
    expect(() => openHeader(bytesSource(bytes.subarray(0, bytes.length - 64)))).toThrow(/GGUF_/);
  });
});
