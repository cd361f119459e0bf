import { createHash } from 'node:crypto';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { fileSource, openGguf } from '../../../gguf/index.js';
import type { CoreTypesSetting } from '../../../llm/core-form/index.js';
import type { KvType } from '../../../llm/kv/layout.js';
import { loadModel } from '../../../llm/model/load-model.js';
import { openMockBoard } from '../../../mock-device/index.js';

/** What a machine computes with a model: equal on two machines means equal to the bit. */
export interface LogitsDigest {
  /** As in `process.arch`. */
  readonly architecture: string;
  /** The greedy tokens. */
  readonly tokens: readonly number[];
  /** SHA-256 over the bytes of the logits of every token, prompt included. */
  readonly logits: string;
}

/**
 * Feeds `prompt`, then `count` greedy tokens, and digests all logits on the way.
 *
 * @param board name or path of the board description that the mock is made after
 * @param threads that compute; with more than one they have a third of all rows of matrices too
 */
export function digestLogits(
  modelPath: string,
  board: string,
  prompt: string,
  count: number,
  kvType: KvType = 'f16',
  threads = 1,
  coreTypes: CoreTypesSetting = 'padded',
): LogitsDigest {
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription(board)));
  const model = loadModel(openGguf(fileSource(modelPath)), {
    accelerator,
    kvType,
    threads,
    coreTypes,
    cpuRows: threads === 1 ? undefined : ({ rows }) => Math.floor(rows / 3),
  });
  const pending = model.tokenizer.encode(prompt);
  const length = pending.length + count;
  const cache = model.newCache(length);
  const hash = createHash('sha256');
  const tokens: number[] = [];
  for (let position = 0; position < length; position++) {
    const logits = new Float32Array(model.config.vocabSize);
    model.forward([{ cache, token: pending[position], position, logits }]);
    hash.update(new Uint8Array(logits.buffer));
    if (position + 1 < pending.length) continue;
    const best = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
    pending.push(best);
    if (tokens.length < count) tokens.push(best);
  }
  model.close();
  accelerator.close();
  return { architecture: process.arch, tokens, logits: hash.digest('hex') };
}
