import { digestFamilies } from './families-digest.js';

/** The digests as a program for another architecture: `families-digest-main.js MODEL...` prints JSON. */
process.stdout.write(`${JSON.stringify(digestFamilies(process.argv.slice(2)))}\n`);
