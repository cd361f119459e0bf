import { softmaxVectors } from './vectors.js';

// Prints vectors/softmax.json: `node dist/test/reference/softmax/make-vectors-main.js > vectors/softmax.json`
const cases = softmaxVectors().map((vector) => JSON.stringify(vector));
process.stdout.write(`[\n${cases.join(',\n')}\n]\n`);
