import { closeSync, copyFileSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { syntheticModel, TINY_LLAMA_Q2_K } from '../../../bench/synthetic-model.js';
import { CHUNK_BYTES, modelDigest, sha256 } from '../../../protocol/index.js';
import type { BoardClient, MemoryBudget, Model } from '../../../sdk/index.js';

const MEBI = 2 ** 20;
/** What a PYNQ-Z1 has for DMA by the description pynq-z1-360, and what all else may take at most. */
export const RESERVED_MIB = 360;
export const ELSE_MIB = 140;
/** The model's file and what of it lies in DMA memory. */
export const FILE_MIB = 359;
export const DMA_MIB = 339;
/** What of the file is not on the board before the upload: chunks from its middle. */
export const SENT_BYTES = 32 * MEBI;
const FIRST_SENT = 100 * MEBI;
/** One word of the random vocabulary. */
const PROMPT = 'fot';
const SETTINGS = { contextLength: 128, staged: false };

/** A model of TinyLlama-1.1B's dimensions with random weights, all in Q2_K but the output matrix: made once, the same everywhere. */
export function tinyLlama(): { readonly path: string; readonly digest: string } {
  const path = syntheticModel(TINY_LLAMA_Q2_K);
  const file = openSync(path, 'r');
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const digests = [];
  for (let length = readSync(file, chunk); length > 0; length = readSync(file, chunk))
    digests.push(sha256(chunk.subarray(0, length)));
  closeSync(file);
  return { path, digest: modelDigest(statSync(path).size, Buffer.concat(digests)) };
}

/** Writes what an upload of the model leaves that broke before `SENT_BYTES` of it had come. */
export function writePartialUpload(model: string, path: string): void {
  copyFileSync(model, path);
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(SENT_BYTES), 0, SENT_BYTES, FIRST_SENT);
  closeSync(file);
}

/** Uploads the model. @returns how many bytes of it the board had not */
export async function sentTo(board: BoardClient, path: string): Promise<number> {
  let had: number | undefined;
  let sending = false;
  const { bytes } = await board.models.store(path, {
    name: 'tinyllama',
    onPhase: (phase) => {
      sending = phase === 'send';
    },
    onProgress: (done) => {
      if (sending) had ??= done;
    },
  });
  return bytes - (had ?? bytes);
}

/** Loads the model with a context of 128 tokens. */
export function load(board: BoardClient, digest: string): Promise<Model> {
  return board.models.load(digest, SETTINGS);
}

/**
 * Generates four tokens unless told: each with its logarithmic probability, in which all logits are, and those of the 20 likeliest. Equal
 * numbers of two machines are equal bits.
 */
export async function tokensOf(model: Model, maxTokens = 4): Promise<unknown[]> {
  const options = { maxTokens, temperature: 0, topLogprobs: 20, ignoreEos: true };
  const tokens = [];
  for await (const token of model.generate(PROMPT, options)) tokens.push(token);
  return tokens;
}

/** Has the board asked whether it can load a file. @returns what it answers, and after how long */
export async function refusal(
  board: BoardClient,
  path: string,
): Promise<{ code: string; message: string; milliseconds: number }> {
  const started = performance.now();
  const { code, message } = await board.models.requireRoom(path, SETTINGS).then(
    () => ({ code: 'none', message: '' }),
    (error: { code: string; message: string }) => error,
  );
  return { code, message, milliseconds: performance.now() - started };
}

/** What of the sum is for DMA, in whole MiB. */
export function dmaMib(memory: MemoryBudget | undefined): number {
  const weights = memory?.lines.find(({ what }) => what === "this model's weights");
  return Math.round((weights?.bytes ?? 0) / MEBI);
}
