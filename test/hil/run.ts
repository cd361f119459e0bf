import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isPynqLlmError } from '../../errors/index.js';
import { type Bench, benchFiles, readBenches } from './bench-file.js';
import { type BenchReport, toMarkdown } from './report.js';
import { runBench } from './run-bench.js';

// npm run test:hil [-- --bench FILE]... [--report FOLDER]
// Without --bench every file of boards/bench is run. Ends with status 1 if a board fails, 2 if a file is wrong.
const { values } = parseArgs({
  options: {
    bench: { type: 'string', multiple: true },
    report: { type: 'string', default: join('test-results', 'hil') },
  },
});
let benches: Bench[] = [];
try {
  benches = readBenches(values.bench ?? benchFiles(join('boards', 'bench')));
} catch (error) {
  if (!isPynqLlmError(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const startedAt = new Date().toISOString();
const reports: BenchReport[] = [];
for (const bench of benches) {
  process.stderr.write(`${bench.name} (${bench.device}) …\n`);
  const report = await runBench(bench);
  process.stderr.write(
    `${bench.name}: ${report.outcome}${report.reason === undefined ? '' : `: ${report.reason}`}\n`,
  );
  for (const { title, outcome, reason = '' } of report.tests)
    if (outcome !== 'passed') process.stderr.write(`  ${outcome}: ${title}: ${reason}\n`);
  reports.push(report);
}
const whole = { startedAt, version, benches: reports };
mkdirSync(values.report, { recursive: true });
writeFileSync(join(values.report, 'report.json'), `${JSON.stringify(whole, null, 2)}\n`);
writeFileSync(join(values.report, 'report.md'), toMarkdown(whole));
process.stdout.write(`${join(values.report, 'report.md')}\n`);
if (reports.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
