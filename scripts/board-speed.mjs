// Writes the figures of docs/board-speed.md: counts under QEMU for some minutes, or takes what was counted from a file
// (`--from FILE`, the output of `pynq-llm bench board --project --json`).
import { readFileSync, writeFileSync } from 'node:fs';
import { benchProjection } from '../dist/bench/index.js';

const BEGIN = '<!-- figures -->\n';
const END = '<!-- /figures -->';
const file = new URL('../docs/board-speed.md', import.meta.url);

const from = process.argv.indexOf('--from');
const boards =
  from < 0
    ? await benchProjection((what) => console.error(what))
    : JSON.parse(readFileSync(process.argv[from + 1], 'utf8'));
if (boards.missing) throw new Error(`nothing can be counted here: ${boards.missing}`);

const before = readFileSync(file, 'utf8');
const begin = before.indexOf(BEGIN) + BEGIN.length;
const end = before.indexOf(END);
if (begin < BEGIN.length || end < begin) throw new Error('docs/board-speed.md has no place for the figures');
const text = [summary(boards), ...boards.map(section)].join('\n');
writeFileSync(file, `${before.slice(0, begin)}\n${text}\n${before.slice(end)}`);

function summary(all) {
  const rows = all.flatMap(({ title, note, contexts, published }) =>
    contexts.map(({ context, seconds }) => [title, note, context, span(seconds), published]),
  );
  return table(['board and model', '', 'context', 'seconds a token, projected', 'published'], rows);
}

function section({ title, note, contexts, published }) {
  const headings = ['seconds', ...contexts.map(({ context }) => `context ${context}`), 'what it rests on'];
  const counted = contexts.map(({ instructions }) => (instructions / 1e6).toFixed(1));
  const lines = contexts[0].lines.map(({ what, assumption }, i) => [
    what,
    ...contexts.map((one) => span(one.lines[i].seconds)),
    assumption,
  ]);
  const rows = [
    ['(millions of instructions)', ...counted, 'counted under QEMU'],
    ...lines,
    ['**all of it**', ...contexts.map(({ seconds }) => `**${span(seconds)}**`), `published: ${published}`],
  ];
  return `## ${title}\n\n${note[0].toUpperCase()}${note.slice(1)}.\n\n${table(headings, rows)}`;
}

function table(headings, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return line(headings) + line(headings.map(() => '---')) + rows.map(line).join('');
}

function span([low, high]) {
  return `${low.toFixed(2)} to ${high.toFixed(2)}`;
}
