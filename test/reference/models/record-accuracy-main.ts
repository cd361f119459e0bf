import { writeFileSync } from 'node:fs';
import { measureAccuracy, RECORD } from './accuracy.js';

/** Writes accuracy.json from the kit's models: `npm run record:accuracy`. */
const measured = measureAccuracy((file) => process.stderr.write(`${file}\n`));
if (Object.keys(measured).length === 0) throw new Error("the kit's models are not there");
writeFileSync(RECORD, `${JSON.stringify(measured, undefined, 2)}\n`);
