// Writes the table of imports in docs/ARCHITECTURE.md from the linter's rules; `--check` fails if it is not what it would write.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import config from '../.dependency-cruiser.cjs';

const BEGIN = '<!-- imports -->\n';
const END = '<!-- /imports -->';
const file = new URL('../docs/ARCHITECTURE.md', import.meta.url);

const rules = config.forbidden.filter(({ name }) => name.endsWith('-imports'));
const folders = rules.map(({ name }) => name.slice(0, -'-imports'.length));
const ours = rules[0].to.path.match(/\((.*)\)/)[1].split('|');
const sources = ours.flatMap((folder) => {
  const names = readdirSync(new URL(`../${folder}`, import.meta.url), { recursive: true }).toSorted();
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`);
});

/** As the linter asks it: whether a file of `folder` may import the file `path`. */
function allows({ to }, path) {
  return !new RegExp(to.path).test(path) || new RegExp(to.pathNot).test(path);
}

const rows = rules.map((rule, i) => {
  const others = sources.filter((path) => !path.startsWith(`${folders[i]}/`) && allows(rule, path));
  const byIndex = ours.filter((folder) => others.includes(`${folder}/index.ts`));
  const entries = others.filter((path) => !byIndex.some((folder) => path === `${folder}/index.ts`));
  const alsoBy = entries.map((path) => `\`${path}\``).join(', ');
  return `| \`${folders[i]}/\` | ${byIndex.join(', ') || '–'} | ${alsoBy || '–'} |\n`;
});
const table = `\n| folder | may import, by its \`index.ts\` | and these files |\n|---|---|---|\n${rows.join('')}\n`;

const before = readFileSync(file, 'utf8');
const begin = before.indexOf(BEGIN) + BEGIN.length;
const end = before.indexOf(END);
if (begin < BEGIN.length || end < begin) throw new Error('docs/ARCHITECTURE.md has no place for the table');
const text = before.slice(0, begin) + table + before.slice(end);
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (before !== text) throw new Error('docs/ARCHITECTURE.md is out of date: npm run docs');
