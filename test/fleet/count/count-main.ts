import { parseArgs } from 'node:util';
import { openEmulator } from '../../../bench/board/emulator.js';
import { countStage } from './count-stage.js';
import { countTokens } from './count-tokens.js';

// What a fleet asks of a board's own processor, beside the engine: npm run bench:fleet:instructions
// Armv7 instructions of the agent's main thread, garbage collection included, over a real nats-server. Prints a table in Markdown.
const { values } = parseArgs({
  options: { what: { type: 'string', default: 'stages,tokens' } },
});

const emulator = await openEmulator();
if ('missing' in emulator) throw new Error(`nothing can be counted here: ${emulator.missing}`);
const note = (text: string) => console.error(`${(performance.now() / 1_000).toFixed(0)} s: ${text}`);
const row = (what: string, instructions: number) =>
  console.log(`| ${what} | ${(instructions / 1e6).toFixed(2)} |`);

console.log('| the main thread of a board | M instructions |\n| --- | --- |');
if (values.what.includes('tokens'))
  for (const [what, instructions] of await countTokens(emulator, note)) row(what, instructions);
if (values.what.includes('stages'))
  for (const columns of [1, 8])
    row(`a turn of a stage, ${columns} sequences`, await countStage(emulator, columns, note));
