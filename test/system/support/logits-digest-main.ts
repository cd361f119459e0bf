import { KV_TYPES } from '../../../llm/kv/layout.js';
import { digestLogits } from './logits-digest.js';

/** The digest as a program for another architecture: `logits-digest-main.js MODEL BOARD PROMPT COUNT KVTYPE [THREADS]` prints JSON. */
const [model, board, prompt, count, type, threads = '1'] = process.argv.slice(2);
const kvType = KV_TYPES.find((one) => one === type) ?? 'f16';
process.stdout.write(
  `${JSON.stringify(digestLogits(model, board, prompt, Number(count), kvType, Number(threads)))}\n`,
);
