import { parseArgs } from 'node:util';
import { toText } from './report.js';
import { runLoad } from './run-load.js';

// npm run test:load [-- --seconds 300] [--clients 64] [--faults-per-minute 1] [--seed 1] [--kv-memory MIB] [--json]
// Ends with status 1 if anything was wrong, 2 if an option is.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    clients: { type: 'string', default: '64' },
    'faults-per-minute': { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    'kv-memory': { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function number(name: Exclude<keyof typeof values, 'json'>, least: number): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= least) return value;
  process.stderr.write(`--${name} ${values[name]} is no number from ${least}\n`);
  process.exit(2);
}

const report = await runLoad({
  seconds: number('seconds', 1),
  clients: Math.ceil(number('clients', 1)),
  faultsPerMinute: number('faults-per-minute', 0),
  seed: Math.floor(number('seed', 0)),
  kvMemoryMib: values['kv-memory'] === undefined ? undefined : number('kv-memory', 1),
  say: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : toText(report));
process.exit(report.mistakes.length === 0 ? 0 : 1);
