import { readFileSync } from 'node:fs';
import type { Board } from '../../../board/index.js';
import type { Accelerator, MatMulProgram } from '../../../driver/accelerator.js';
import type { VectorLists } from '../../../driver/self-test/checks.js';
import { type GoldenVector, readVector, vectorTensor } from '../../../driver/self-test/vector.js';
import { isPynqLlmError, type PynqLlmError } from '../../../errors/index.js';

const FOLDER = 'vectors';

export function readFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${FOLDER}/${name}`));
}

/** A golden vector by the middle of its file's name, such as `q3_01`. */
export function golden(name: string): GoldenVector {
  const entry = INDEX.cases.find(({ file }) => file.includes(name));
  if (!entry) throw new Error(`no vector ${name}`);
  return readVector(entry.file, readFile(entry.file));
}

export function load(
  accelerator: Accelerator,
  vector: GoldenVector,
  placement: 'resident' | 'staged',
): MatMulProgram {
  return accelerator.load(vectorTensor('golden', vector), placement, { force: true });
}

/** Multiplies with the vector's own inputs. @returns bits of out[n*M + m] */
export function multiply(
  accelerator: Accelerator,
  program: MatMulProgram,
  vector: GoldenVector,
): Uint32Array {
  const output = new Float32Array(vector.expected.length);
  accelerator.multiply([program], vector.inputs, (blocks) => blocks.set(vector.inputBlocks), [output]);
  return new Uint32Array(output.buffer);
}

const INDEX: { cases: { file: string }[] } = JSON.parse(readFileSync(`${FOLDER}/index.json`, 'utf8'));

export const LISTS: VectorLists = {
  index: INDEX,
  counters: JSON.parse(readFileSync(`${FOLDER}/counters.json`, 'utf8')),
  streams: JSON.parse(readFileSync(`${FOLDER}/streams.json`, 'utf8')),
  softmax: JSON.parse(readFileSync(`${FOLDER}/softmax.json`, 'utf8')),
};

/** A board that differs from `board` in some members alone. */
export function boardWith<B extends Board>(board: B, members: Partial<Board>): B {
  return new Proxy(board, {
    get: (target, key) => {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The error that a call ends in. */
export function failureOf(call: () => void): PynqLlmError {
  try {
    call();
  } catch (error) {
    if (isPynqLlmError(error)) return error;
    throw error;
  }
  throw new Error('did not fail');
}
