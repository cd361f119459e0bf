// Writes docs/errors.md from the table of error codes; `--check` fails if the file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERROR_CODES } from '../dist/errors/index.js';

const AREAS = ['gguf', 'driver', 'mock-device', 'llm', 'protocol', 'agent', 'sdk', 'cli'];
const file = new URL('../docs/errors.md', import.meta.url);
const entries = Object.entries(ERROR_CODES).toSorted(([, a], [, b]) => a.number - b.number);
const sections = AREAS.map((area, i) => {
  const rows = entries
    .filter(([, { number }]) => Math.floor(number / 1000) === i + 1)
    .map(([code, { number, meaning, remedy }]) => `| PL${number} | \`${code}\` | ${meaning} | ${remedy} |`);
  return `## ${area}/\n\n| number | code | meaning | what to do |\n|---|---|---|---|\n${rows.join('\n')}\n`;
});
const text = `# Errors

Every error reads \`[PL<number> <CODE>] what happened and why. What to do.\` The thousands of the number name the area. This page is
written by \`npm run docs\` from \`errors/\`.

${sections.join('\n')}`;

const numbers = entries.map(([, { number }]) => number);
if (new Set(numbers).size !== numbers.length) throw new Error('two error codes have the same number');
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) throw new Error('docs/errors.md is out of date: npm run docs');
