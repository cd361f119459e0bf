import { parseArgs } from 'node:util';
import { noNatsServer } from '../../system/support/nats-server.js';
import { toText } from './report.js';
import { runFleetLoad } from './run-fleet-load.js';

// npm run test:fleet:load [-- --seconds 120] [--clients 64] [--seed 1] [--json]
// Ends with status 1 if anything was wrong, 2 if an option is.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    clients: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});

function number(name: 'seconds' | 'clients' | 'seed', least: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least) return value;
  process.stderr.write(`--${name} ${values[name]} is no whole number from ${least}\n`);
  process.exit(2);
}

if (noNatsServer !== undefined) {
  process.stdout.write(`skipped: ${noNatsServer}\n`);
  process.exit(0);
}
const report = await runFleetLoad({
  seconds: number('seconds', 1),
  clients: number('clients', 1),
  seed: number('seed', 0),
  say: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : toText(report));
process.exit(report.mistakes.length === 0 ? 0 : 1);
