import { parseArgs } from 'node:util';
import { runFuzz } from './run-fuzz.js';
import { runModelFuzz } from './run-model-fuzz.js';

// npm run test:fuzz [-- --what listeners|models] [--seconds 60] [--seed N] [--first INDEX] [--cases N]
// Broken bytes, requests and frames against listeners, and model files that are not what they say: a quarter of the time.
// The seed is $FUZZ_SEED or a new one unless given. Ends with status 1 if anything was wrong, 2 if an option is.
const { values } = parseArgs({
  options: {
    what: { type: 'string' },
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

const seed = Math.floor(number('seed', 0));
const first = Math.floor(number('first', 0));
const { what } = values;
if (what !== undefined && what !== 'listeners' && what !== 'models') {
  process.stderr.write(`--what ${what} is neither listeners nor models\n`);
  process.exit(2);
}
/** Of the whole time a share, or as many cases as are asked for. */
const until = (share: number) =>
  values.cases === undefined
    ? { seconds: number('seconds', 1) * (what === undefined ? share : 1) }
    : { cases: Math.ceil(number('cases', 1)) };
const models = what === 'listeners' ? undefined : runModelFuzz({ seed, first, until: until(1 / 4) });
const listeners =
  what === 'models'
    ? undefined
    : await runFuzz({ seed, first, until: until(3 / 4), say: (text) => process.stderr.write(`${text}\n`) });
process.stdout.write(`${JSON.stringify({ seed, ...listeners, models }, null, 2)}\n`);
process.exit(models?.mistake === undefined && listeners?.mistake === undefined ? 0 : 1);
