import { digestKernels } from './kernels-digest.js';

/** The digests as a program for another architecture: prints JSON. */
process.stdout.write(`${JSON.stringify(digestKernels())}\n`);
