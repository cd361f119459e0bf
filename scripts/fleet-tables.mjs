// Writes the figures of docs/fleet.md: simulates for a minute, or takes what was simulated from a file (`--from FILE`, the output of
// `pynq-llm bench fleet --allreduce --json`).
import { readFileSync, writeFileSync } from 'node:fs';
import { benchFleet } from '../dist/bench/index.js';

const BEGIN = '<!-- scaling -->\n';
const END = '<!-- /scaling -->';
const BOARDS = [2, 4, 8];
const file = new URL('../docs/fleet.md', import.meta.url);

const from = process.argv.indexOf('--from');
const result =
  from < 0 ? benchFleet({ allReduce: true }) : JSON.parse(readFileSync(process.argv[from + 1], 'utf8'));
const before = readFileSync(file, 'utf8');
const begin = before.indexOf(BEGIN) + BEGIN.length;
const end = before.indexOf(END);
if (begin < BEGIN.length || end < begin) throw new Error('docs/fleet.md has no place for the figures');
const text = [scaling(result.scaling), trips(result.roundTrips), routing(result.routing)].join('\n');
writeFileSync(file, `${before.slice(0, begin)}\n${text}\n${before.slice(end)}`);

/** A line for each way and timing: times, and millions of cycles of a token. */
function scaling(rows) {
  const lines = groups(rows, ({ what, timing }) => `${what}/${timing}`).map((line) => [
    line[0].what,
    line[0].timing,
    [...new Set(line.map(({ board }) => board.replace(/-\d+$/, '')))].join(', '),
    (line[0].alone / 1e6).toFixed(2),
    ...BOARDS.map((count) => {
      const found = line.find(({ boards }) => boards === count);
      if (found === undefined) return '';
      const { gain, cyclesPerToken } = found;
      return `**${gain.toFixed(2)}** (${(cyclesPerToken / 1e6).toFixed(2)})`;
    }),
    line
      .map(({ instructions }) => instructions ?? '')
      .join(', ')
      .replace(/^[, ]+$/, ''),
  ]);
  const headings = [
    '',
    'timing',
    'board',
    'one board, M cycles a token',
    '2 boards',
    '4',
    '8',
    'M instructions',
  ];
  return table(headings, [['the chapter', '', 'PYNQ-Z1', '', '1.9', '3.6', '6.4', ''], ...lines]);
}

function trips(rows) {
  const times = [...new Set(rows.map(({ roundTripMs }) => roundTripMs))];
  const lines = groups(rows, ({ timing, boards }) => `${timing}/${boards}`).map((line) => [
    line[0].timing,
    line[0].boards,
    ...line.map(({ gain }) => gain.toFixed(2)),
  ]);
  return table(['tensor parallel, one stream', 'boards', ...times.map((ms) => `${ms} ms`)], lines);
}

function routing(rows) {
  const lines = rows.map(({ load, timing, boards, policy, median, p95, busiest }) => [
    load,
    timing,
    boards,
    policy,
    median.toFixed(1),
    p95.toFixed(1),
    busiest.toFixed(2),
  ]);
  const headings = [
    'load',
    'timing',
    'boards',
    'who gets it',
    'first token, median s',
    '95 %',
    'busiest board / mean',
  ];
  return table(headings, lines);
}

function groups(rows, keyOf) {
  const found = new Map();
  for (const row of rows) found.set(keyOf(row), [...(found.get(keyOf(row)) ?? []), row]);
  return [...found.values()];
}

function table(headings, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return line(headings) + line(headings.map(() => '---')) + rows.map(line).join('');
}
