import { createHash } from 'node:crypto';
import { BLOCK_FORMATS, GgmlType, Q8K_BYTES, SUPER_BLOCK } from '../../../gguf/index.js';
import { KernelMemory } from '../../../llm/kernels/kernels.js';
import { KvCache } from '../../../llm/kv/cache.js';
import { KV_TYPES } from '../../../llm/kv/layout.js';
import { KvPool } from '../../../llm/kv/pool.js';
import { Random } from '../../../maths/index.js';
import { KINDS, oddFloats, oddHalves } from './odd-floats.js';

/** What a machine's kernels compute, by name: equal on two machines means equal to the bit. */
export interface KernelsDigest {
  /** As in `process.arch`. */
  readonly architecture: string;
  readonly digests: Readonly<Record<string, string>>;
}

const VALUES = 4 * SUPER_BLOCK;

const SMALL_TYPES = [
  GgmlType.Q4_0,
  GgmlType.Q4_1,
  GgmlType.Q5_0,
  GgmlType.Q5_1,
  GgmlType.Q8_0,
  GgmlType.IQ4_NL,
  GgmlType.MXFP4,
];

/** Feeds the kernels subnormal, huge and ordinary values. Results that are NaN count as such, whatever their bits. */
export function digestKernels(): KernelsDigest {
  const digests: Record<string, string> = {};
  for (const kind of KINDS) {
    const random = new Random(1);
    const memory = new KernelMemory(6 * 4 * VALUES);
    const [a, b, out] = [VALUES, VALUES, VALUES].map((length) => memory.floats(length));
    const blocks = memory.bytes((VALUES / SUPER_BLOCK) * Q8K_BYTES);
    const halves = memory.halves(VALUES);
    const addresses = [a, b, out, blocks, halves].map(({ byteOffset }) => byteOffset);
    const [atA, atB, atOut, atBlocks, atHalves] = addresses;
    const { kernels } = memory;
    const run = (name: string, kernel: () => void): void => {
      const hash = createHash('sha256');
      for (let round = 0; round < 20; round++) {
        a.set(oddFloats(random, VALUES, kind));
        b.set(oddFloats(random, VALUES, round % 2 ? 'ordinary' : kind));
        kernel();
        for (const floats of [a, b, out]) hash.update(bitsOf(floats));
        hash.update(blocks);
        hash.update(new Uint8Array(halves.slice().buffer));
      }
      digests[`${name} of ${kind} values`] = hash.digest('hex');
    };
    run('Q8_K', () => kernels.quantizeQ8K(atA, VALUES, atBlocks));
    run('padded Q8_K', () => kernels.quantizeColumns(atA, 300, 2, atOut, atBlocks));
    run('RMSNorm', () => kernels.normalize(atA, atB, atB, 1e-5, VALUES / 2, 2, atOut, atBlocks));
    run('SwiGLU', () => kernels.swiGlu(atA, atB, VALUES, atBlocks));
    run('rotation', () => kernels.rotate(atA, 8, VALUES / 8, 64, atB));
    run('halves', () => {
      kernels.encodeHalves(atA, atHalves, VALUES);
      kernels.decodeHalves(atHalves, atOut, VALUES);
    });
    run('LayerNorm', () => kernels.normalizeLayer(atA, atB, atB, atA, 1e-5, VALUES / 2, 2, atOut, atBlocks));
    run('GeGLU', () => kernels.geGlu(atA, atB, VALUES, atBlocks));
    run('bounds', () => kernels.cap(atA, VALUES, 30));
    run('rotation of halves', () => kernels.rotateHalves(atA, 8, VALUES / 8, 64, atB));
    run('bfloat16', () => {
      kernels.roundToBfloats(atA, atOut, VALUES);
      kernels.decodeBfloats(atB, atA, VALUES);
    });
    for (const type of SMALL_TYPES)
      run(`blocks of ${BLOCK_FORMATS[type].name}`, () => {
        // The bytes of b are blocks, whatever they are.
        kernels.quantizeQ8Small(atA, VALUES / 2, atOut);
        kernels.multiplySmallRow(type, atB, VALUES / 4 / 32, atOut, 2, atA);
        if (type !== GgmlType.MXFP4) kernels.decodeSmall(type, atB, VALUES / 4 / 32, atOut, atHalves);
        kernels.coreRowOfSmall(type, atB, VALUES / 4 / 32, 2, atBlocks, atHalves);
      });
    run('rows of IQ4_XS', () => kernels.coreRowOfIq4Xs(atB, 2, atBlocks, atHalves));
    for (const parts of [1, 2])
      run(`rows of floats in ${parts} parts`, () =>
        kernels.coreRowOfFloats(atA, 2, parts, atBlocks, atHalves),
      );
    run('unpacked super-blocks', () => {
      kernels.quantizeQ8K(atA, VALUES, atBlocks);
      kernels.multiplySuperRow(atB, 2, atBlocks, 2, atOut);
    });
    run('a row', () => kernels.multiplyRow(atA, atB, 1, VALUES, atOut));
  }
  for (const type of KV_TYPES)
    for (const [least, most] of [
      [0, 0],
      [0, 30],
      [12, 16],
    ])
      digests[`attention over ${type}, exponents ${least} to ${most}`] = digestAttention(type, least, most);
  return { architecture: process.arch, digests };
}

function digestAttention(type: (typeof KV_TYPES)[number], least: number, most: number): string {
  const shape = { layers: 1, heads: 6, kvHeads: 2, headDim: 40 };
  const [width, queryWidth, tokens] = [80, 240, 150];
  const random = new Random(2);
  const hash = createHash('sha256');
  const cache = new KvCache(new KvPool(shape, { type, bytes: 1 << 22, contextLength: tokens }), tokens);
  for (let token = 0; token < tokens; token++) {
    cache.extendTo(token, token);
    const [keys, values] = [oddHalves(random, width, least, most), oddHalves(random, width, least, most)];
    cache.store(0, token, keys, values, 0);
    const out = new Float32Array(queryWidth);
    // Small queries leave weights to many tokens, large ones to a single one.
    const queries = oddFloats(random, queryWidth, token % 2 ? 'any' : 'ordinary');
    cache.queue(0, token, token % 3 ? queries : queries.map((value) => value % 0.01), 0);
    cache.attend(0, 1, out);
    hash.update(bitsOf(out));
    cache.attend(0, 1, out, { scale: 1, window: 20, cap: 5 });
    hash.update(bitsOf(out));
  }
  return hash.digest('hex');
}

function bitsOf(floats: Float32Array): Uint8Array {
  return new Uint8Array(floats.map((value) => (Number.isNaN(value) ? Number.NaN : value)).buffer);
}
