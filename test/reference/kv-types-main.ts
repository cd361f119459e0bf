import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { fileSource, openGguf } from '../../gguf/index.js';
import { KvCache } from '../../llm/kv/cache.js';
import { KV_TYPES, type KvType } from '../../llm/kv/layout.js';
import { KvPool } from '../../llm/kv/pool.js';
import { loadModel } from '../../llm/model/load-model.js';
import type { Model } from '../../llm/model/model.js';
import { Sampler } from '../../llm/sampling/index.js';
import { Random } from '../../maths/index.js';
import { openMockBoard } from '../../mock-device/index.js';

/*
 * What INT8 keys and values lose and gain against F16; docs/kv-cache.md has the figures. Text: stories that the Q2_K file
 * tells, of the whole context each. Seeds are fixed: the losses are the same on every machine, the times are not.
 */

const STORIES = 16;
const BATCH = 16;

function open(file: string, kvType: KvType): Model {
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription('kv260')));
  return loadModel(openGguf(fileSource(`models/${file}.gguf`)), { accelerator, kvType });
}

/** Feeds tokens and calls back with the logits after each. */
function feed(
  model: Model,
  tokens: readonly number[],
  take: (logits: Float32Array, position: number) => void,
): void {
  const cache = model.newCache();
  for (let at = 0; at < tokens.length; at += BATCH) {
    const columns = tokens.slice(at, at + BATCH).map((token, i) => ({
      cache,
      token,
      position: at + i,
      logits: new Float32Array(model.config.vocabSize),
    }));
    model.forward(columns);
    cache.settle();
    for (const { logits, position } of columns) take(logits, position);
  }
  cache.release();
}

/** A story from the beginning of text to the end of the context; the end of a story begins another. */
function tell(model: Model, seed: number): number[] {
  const sampler = new Sampler({ temperature: 1, topK: 0, topP: 1, minP: 0, seed }, model.config.vocabSize);
  const cache = model.newCache();
  const tokens = [model.tokenizer.bosId ?? 1];
  const logits = new Float32Array(model.config.vocabSize);
  while (tokens.length < model.contextLength) {
    const position = tokens.length - 1;
    model.forward([{ cache, token: tokens[position], position, logits }]);
    const { id } = sampler.sample(logits);
    tokens.push(model.tokenizer.eosIds.has(id) ? tokens[0] : id);
  }
  cache.release();
  return tokens;
}

function logprob(logits: Float32Array, token: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits[token] - largest - Math.log(sum);
}

const argmax = (logits: Float32Array): number => logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));

const teller = open('tiny-stories-Q2_K', 'f16');
const stories = Array.from({ length: STORIES }, (_, seed) => tell(teller, seed));
const [f16, int8] = KV_TYPES.map((type) => open('tiny-stories-Q3_K_M', type));
const sums = { f16: 0, int8: 0, squares: 0, values: 0, scored: 0, sameTop: 0, positions: 0 };
let worst = 0;
for (const story of stories) {
  const exact: Float32Array[] = [];
  feed(f16, story, (logits) => exact.push(logits));
  feed(int8, story, (logits, position) => {
    logits.forEach((logit, i) => {
      const difference = Math.abs(logit - exact[position][i]);
      worst = Math.max(worst, difference);
      sums.squares += difference ** 2;
    });
    sums.values += logits.length;
    sums.positions++;
    if (argmax(logits) === argmax(exact[position])) sums.sameTop++;
    if (position + 1 === story.length) return;
    sums.f16 += logprob(exact[position], story[position + 1]);
    sums.int8 += logprob(logits, story[position + 1]);
    sums.scored++;
  });
}

/** Milliseconds of an attention over 1024 tokens in TinyLlama-1.1B's shape, the best of many, both types in turn. */
function attentionMs(): number[] {
  const shape = { layers: 1, heads: 32, kvHeads: 4, headDim: 64 };
  const tokens = 1024;
  const random = new Random(1);
  const row = Float32Array.from({ length: 2048 }, () => random.nextDouble() - 0.5);
  const caches = KV_TYPES.map((type) => {
    const cache = new KvCache(new KvPool(shape, { type, bytes: 2 ** 22, contextLength: tokens }), tokens);
    for (let position = 0; position < tokens; position++) {
      cache.extendTo(position, 1);
      cache.store(0, position, row, row, position);
    }
    return cache;
  });
  const best = caches.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < 200; round++)
    caches.forEach((cache, i) => {
      const begin = performance.now();
      cache.queue(0, 0, tokens - 1, row, 0);
      cache.attend(0, 1, new Float32Array(2048));
      best[i] = Math.min(best[i], performance.now() - begin);
    });
  return best;
}

const perplexity = (sum: number): string => Math.exp(-sum / sums.scored).toFixed(4);
const [f16Ms, int8Ms] = attentionMs();
process.stdout.write(
  [
    `perplexity over ${sums.scored} tokens: f16 ${perplexity(sums.f16)}, int8 ${perplexity(sums.int8)}`,
    `logits: largest difference ${worst.toFixed(4)}, root mean square ${Math.sqrt(sums.squares / sums.values).toFixed(5)}`,
    `same likeliest token at ${sums.sameTop} of ${sums.positions} positions`,
    `attention over 1024 tokens: int8 takes ${(int8Ms / f16Ms).toFixed(2)} times f16's time`,
    '',
  ].join('\n'),
);
