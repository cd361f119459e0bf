import { checkCoreTypes } from '../../../llm/core-form/index.js';
import { KV_TYPES } from '../../../llm/kv/layout.js';
import { digestLogits } from './logits-digest.js';

/**
 * The digest as a program for another architecture: `logits-digest-main.js MODEL BOARD PROMPT COUNT KVTYPE [THREADS [CORETYPES]]` prints
 * JSON.
 */
const [model, board, prompt, count, type, threads = '1', coreTypes] = process.argv.slice(2);
const kvType = KV_TYPES.find((one) => one === type) ?? 'f16';
const digest = digestLogits(
  model,
  board,
  prompt,
  Number(count),
  kvType,
  Number(threads),
  checkCoreTypes(coreTypes),
);
process.stdout.write(`${JSON.stringify(digest)}\n`);
