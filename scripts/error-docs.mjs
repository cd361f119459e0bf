// Writes docs/errors.md from the tables of errors/; `--check` fails if the file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERROR_CODES, ERROR_TABLES } from '../dist/errors/index.js';

const file = new URL('../docs/errors.md', import.meta.url);
const sections = Object.entries(ERROR_TABLES).map(([folders, table]) => {
  const rows = Object.entries(table)
    .toSorted(([, a], [, b]) => a.number - b.number)
    .map(([code, { number, meaning, remedy }]) => `| PL${number} | \`${code}\` | ${meaning} | ${remedy} |`);
  return `## ${folders}\n\n| number | code | meaning | what to do |\n|---|---|---|---|\n${rows.join('\n')}\n`;
});
const text = `# Errors

Every error reads \`[PL<number> <CODE>] what happened and why. What to do.\` This page is written by \`npm run docs\` from \`errors/\`.

${sections.join('\n')}`;

const numbers = Object.values(ERROR_CODES).map(({ number }) => number);
if (new Set(numbers).size !== numbers.length) throw new Error('two error codes have the same number');
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) throw new Error('docs/errors.md is out of date: npm run docs');
