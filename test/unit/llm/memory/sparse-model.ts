import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import {
  type ByteSource,
  GgmlType,
  rowBytes,
  TINY_LLAMA_1B,
  writeSyntheticLlama,
} from '../../../../gguf/index.js';

class HeaderWritten extends Error {}

/** Header of a file of TinyLlama-1.1B's dimensions; its weights are not made. */
function header(typeOf: (name: string) => GgmlType): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    writeSyntheticLlama(
      {
        write: (piece) => {
          if (bytes !== undefined) throw new HeaderWritten();
          bytes = piece.slice();
        },
      },
      { dimensions: TINY_LLAMA_1B.dimensions, typeOf, seed: 1 },
    );
  } catch (error) {
    if (!(error instanceof HeaderWritten)) throw error;
  }
  return bytes!;
}

/** A source of that header and zeros: as large as the file would be. */
export function tinyLlama(typeOf: (name: string) => GgmlType = TINY_LLAMA_1B.typeOf): ByteSource {
  const head = header(typeOf);
  return {
    size: head.length + dataBytes(typeOf),
    readInto: (offset, into) => {
      into.fill(0);
      into.set(head.subarray(offset, offset + into.length));
    },
  };
}

function dataBytes(typeOf: (name: string) => GgmlType): number {
  const { embedding, feedForward, vocabulary, layers, heads, kvHeads } = TINY_LLAMA_1B.dimensions;
  const kv = (embedding / heads) * kvHeads;
  const bytes = (name: string, rows: number, columns: number) => rows * rowBytes(typeOf(name), columns);
  const layer =
    2 * 4 * embedding +
    bytes('blk.0.attn_q.weight', embedding, embedding) +
    2 * bytes('blk.0.attn_k.weight', kv, embedding) +
    bytes('blk.0.attn_output.weight', embedding, embedding) +
    2 * bytes('blk.0.ffn_gate.weight', feedForward, embedding) +
    bytes('blk.0.ffn_down.weight', embedding, feedForward);
  const ends = ['token_embd.weight', 'output.weight'].map((name) => bytes(name, vocabulary, embedding));
  // All of these are whole multiples of the file's alignment.
  return layers * layer + 4 * embedding + ends[0] + ends[1];
}

/** Such a file that takes no room on a disk. @param head its first bytes, where they are to be others */
export function writeTinyLlama(path: string, typeOf?: (name: string) => GgmlType, head?: Uint8Array): void {
  const { size, readInto } = tinyLlama(typeOf);
  const first = head ?? new Uint8Array(2 ** 22);
  if (head === undefined) readInto(0, first);
  const file = openSync(path, 'w');
  writeSync(file, first);
  ftruncateSync(file, size);
  closeSync(file);
}

/** Q2_K throughout with an untied embedding and a Q4_K output matrix: a file of 359 MiB. */
export const SMALLEST = (name: string): GgmlType =>
  name === 'output.weight' ? GgmlType.Q4_K : GgmlType.Q2_K;
