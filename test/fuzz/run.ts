import { parseArgs } from 'node:util';
import { runFuzz } from './run-fuzz.js';

// npm run test:fuzz [-- --seconds 60] [--seed N] [--first INDEX] [--cases N]
// The seed is $FUZZ_SEED or a new one unless given. Ends with status 1 if anything was wrong, 2 if an option is.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: process.env.FUZZ_SEED ?? String(Date.now() % 1_000_000) },
    first: { type: 'string', default: '0' },
    cases: { type: 'string' },
  },
});

function number(name: keyof typeof values, least: number): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= least) return value;
  process.stderr.write(`--${name} ${values[name]} is no number from ${least}\n`);
  process.exit(2);
}

const report = await runFuzz({
  seed: Math.floor(number('seed', 0)),
  first: Math.floor(number('first', 0)),
  until:
    values.cases === undefined ? { seconds: number('seconds', 1) } : { cases: Math.ceil(number('cases', 1)) },
  say: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exit(report.mistake === undefined ? 0 : 1);
