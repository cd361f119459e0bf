import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantizeRow, fileSource, type GgufFile, openGguf } from '../../../gguf/index.js';
import { counted, ggufFilesIn } from './files.js';
import { relativeError } from './values.js';

/** Third-party and larger files lie beside the checkout; elsewhere these tests are skipped. */
const SHARED = '../shared';
const WITHOUT_SHARED = !existsSync(SHARED);

const bundled = ggufFilesIn('models');
const shared = ['models', 'models/third-party', 'tokenizer'].flatMap((folder) =>
  ggufFilesIn(`${SHARED}/${folder}`),
);

function weights(file: GgufFile, name: string): Float32Array {
  const tensor = file.tensors.get(name)!;
  const bytes = new Uint8Array(tensor.byteLength);
  const values = new Float32Array(tensor.columns * tensor.rows);
  file.readTensor(tensor, 0, tensor.rows, bytes);
  dequantizeRow(tensor.type, bytes, values.length, values);
  return values;
}

describe('real files', () => {
  it.each([...bundled, ...shared])('%s opens with the header alone', (path) => {
    using file = fileSource(path);
    const source = counted(file);
    const { metadata, tensors } = openGguf(source);
    expect(metadata.get('general.architecture')).toBeTypeOf('string');
    expect(metadata.get('tokenizer.ggml.tokens')).not.toHaveLength(0);
    const dataStart = Math.min(file.size, ...[...tensors.values()].map((tensor) => tensor.byteOffset));
    expect(source.bytesRead).toBeLessThan(dataStart + 2 ** 20);
  });

  it('are there', () => {
    expect(bundled).toHaveLength(2);
  });
});

describe.skipIf(WITHOUT_SHARED)(`files in ${SHARED}, which is ${WITHOUT_SHARED ? 'absent' : 'there'}`, () => {
  /** Relative errors that llama-quantize's files have against the F16 one, by type with a margin. */
  const FILES = [
    ['Q2_K', 0.35],
    ['Q3_K_S', 0.2],
    ['Q3_K_M', 0.2],
    ['Q4_K_M', 0.1],
    ['Q6_K', 0.025],
  ] as const;

  it.each(FILES)('every tensor of tiny-stories-%s is close to its F16 original', (name, limit) => {
    using exactSource = fileSource(`${SHARED}/models/tiny-stories-f16.gguf`);
    using source = fileSource(`${SHARED}/models/tiny-stories-${name}.gguf`);
    const [exact, quantised] = [openGguf(exactSource), openGguf(source)];
    expect([...quantised.tensors.keys()].sort()).toEqual([...exact.tensors.keys()].sort());
    for (const tensor of quantised.tensors.keys()) {
      expect(relativeError(weights(exact, tensor), weights(quantised, tensor)), tensor).toBeLessThan(limit);
    }
  });

  it('token 30143 of llama-spm is a byte-order mark', () => {
    using source = fileSource(`${SHARED}/tokenizer/ggml-vocab-llama-spm.gguf`);
    const tokens = openGguf(source).metadata.get('tokenizer.ggml.tokens');
    expect(Array.isArray(tokens) && tokens[30143]).toBe('\ufeff');
  });
});
