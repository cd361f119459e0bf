import { writeFileSync } from 'node:fs';
import { countSmall, INSTRUCTIONS_FILE } from '../system/support/count-small.js';

// npm run record:instructions: what the gate in instructions.test.ts compares with from now on.
const counted = await countSmall();
if ('missing' in counted) throw new Error(`nothing was recorded: ${counted.missing}`);
writeFileSync(INSTRUCTIONS_FILE, `${JSON.stringify(counted, null, 2)}\n`);
