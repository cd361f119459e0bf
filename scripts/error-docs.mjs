// Writes docs/errors.md from the tables of errors; `--check` fails if the file is not what it would write, and both where a
// table of errors/ has no section or two errors share a code or number.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { ERROR_AREAS } from '../dist/errors/index.js';

const file = new URL('../docs/errors.md', import.meta.url);
const sections = Object.entries(ERROR_AREAS).map(([area, table]) => {
  const rows = Object.entries(table)
    .toSorted(([, a], [, b]) => a.number - b.number)
    .map(([code, { number, meaning, remedy }]) => `| PL${number} | \`${code}\` | ${meaning} | ${remedy} |`);
  return `## ${area}\n\n| number | code | meaning | what to do |\n|---|---|---|---|\n${rows.join('\n')}\n`;
});
const text = `# Errors

Every error reads \`[PL<number> <CODE>] what happened and why. What to do.\` The thousands of the number name the area. This page is
written by \`npm run docs\` from \`errors/\`.

${sections.join('\n')}`;

const tables = await tablesOfErrors();
for (const { name, table } of tables)
  if (!Object.values(ERROR_AREAS).includes(table)) throw new Error(`${name} has no area in errors/codes.ts`);
const entries = tables.flatMap(({ table }) => Object.entries(table));
for (const values of [entries.map(([code]) => code), entries.map(([, { number }]) => number)]) {
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) throw new Error(`two errors are ${twice}`);
}
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) throw new Error('docs/errors.md is out of date: npm run docs');

/** What the modules of errors/ export as tables, whether or not anything else knows them. */
async function tablesOfErrors() {
  const folder = new URL('../errors/', import.meta.url);
  const modules = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  const exported = await Promise.all(
    modules.map((name) => import(new URL(`../dist/errors/${name.replace(/ts$/, 'js')}`, import.meta.url))),
  );
  return exported
    .flatMap((module) => Object.entries(module))
    .filter(([name]) => name.endsWith('_ERRORS'))
    .map(([name, table]) => ({ name, table }));
}
