import { digestLogits } from './logits-digest.js';

/** The digest as a program for another architecture: `logits-digest-main.js MODEL BOARD PROMPT COUNT` prints JSON. */
const [model, board, prompt, count] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(digestLogits(model, board, prompt, Number(count)))}\n`);
