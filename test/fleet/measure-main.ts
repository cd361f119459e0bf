import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { connect, type Model } from '../../sdk/index.js';
import { residentMib } from '../load/observe.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { cliAgent } from '../system/support/cli.js';
import { ProcessFleet } from './support/process-fleet.js';

// What gateway and bus cost: npm run bench:fleet [-- --rounds 7 --tokens 64]
// A fleet of four boards, each a process with a mock, over a real nats-server, and one agent, in turns: only the ratios of
// a turn say something on a machine that does other things as well. Prints tables in Markdown.
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, tokens: { type: 'string', default: '64' } },
});
const [rounds, tokens] = [Number(values.rounds), Number(values.tokens)];

const BOARDS = ['one', 'two', 'three', 'four'];
const STREAMS = [1, 8, 32];
/** Of the clock in which Linux counts the time of processes. */
const TICK_MS = 10;

/** What is measured on its own. */
type Part = 'agent alone' | 'gateway' | 'broker' | 'boards';
type Pids = Readonly<Partial<Record<Part, readonly number[]>>>;

/** A turn: milliseconds for all of it, and CPU time of each part for a token. */
interface Turn {
  readonly ms: number;
  readonly cpuMs: Readonly<Partial<Record<Part, number>>>;
}

/** Milliseconds of CPU time that processes have taken. */
function cpuMs(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const [, after] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ');
    const fields = after.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return TICK_MS * ticks.reduce((sum, one) => sum + one, 0);
}

async function turn(model: Model, streams: number, pids: Pids): Promise<Turn> {
  const parts = Object.entries(pids) as [Part, readonly number[]][];
  const before = parts.map(([, of]) => cpuMs(of));
  const began = performance.now();
  const all = Array.from({ length: streams }, (_, seed) =>
    model.generate('Once upon a time', { maxTokens: tokens, temperature: 1, seed, ignoreEos: true }).text(),
  );
  await Promise.all(all);
  const ms = performance.now() - began;
  const spent = parts.map(([part, of], i) => [part, (cpuMs(of) - before[i]) / (streams * tokens)]);
  return { ms, cpuMs: Object.fromEntries(spent) };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

using home = temporaryDirectory();
await using fleet = await ProcessFleet.start({ names: BOARDS });
await using agent = await cliAgent(home.path, 'mock:', ['--threads', '1', '--no-http']);
await using board = await connect(agent.url);
// A fleet computes with exact types.
const alone = await board.models.upload(TINY_MODEL, { coreTypes: 'exact' });
const together = await fleet.client.models.upload(TINY_MODEL);
await fleet.ready(BOARDS.length, [together.digest]);
const pidsOf = (...pids: (number | undefined)[]) => pids.filter((pid) => pid !== undefined);
const fleetPids: Pids = {
  gateway: pidsOf(fleet.gateway.child.pid),
  broker: pidsOf(fleet.broker.pid),
  boards: pidsOf(...BOARDS.map((name) => fleet.board(name).child.pid)),
};
const agentPids: Pids = { 'agent alone': pidsOf(agent.child.pid) };

console.log(`${tokens} tokens a stream, medians of ${rounds} turns, ${process.version}, ${process.arch}\n`);
console.log(
  '| streams | one agent, tokens/s | fleet of 4, tokens/s | fleet / agent | added ms a token and stream | CPU ms a token: agent | boards | gateway | broker |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const streams of STREAMS) {
  await turn(alone, streams, agentPids);
  await turn(together, streams, fleetPids);
  const pairs: [Turn, Turn][] = [];
  for (let round = 0; round < rounds; round++)
    pairs.push([await turn(alone, streams, agentPids), await turn(together, streams, fleetPids)]);
  const speed = (ms: number) => ((1_000 * streams * tokens) / ms).toFixed(1);
  const of = (which: 0 | 1, part: Part) =>
    median(pairs.map((pair) => pair[which].cpuMs[part] ?? 0)).toFixed(2);
  const [one, four] = [0, 1].map((which) => median(pairs.map((pair) => pair[which].ms)));
  const ratio = median(pairs.map(([a, b]) => a.ms / b.ms));
  const added = median(pairs.map(([a, b]) => (b.ms - a.ms) / tokens));
  const cpu = [of(0, 'agent alone'), of(1, 'boards'), of(1, 'gateway'), of(1, 'broker')];
  console.log(
    `| ${[streams, speed(one), speed(four), ratio.toFixed(2), added.toFixed(2), ...cpu].join(' | ')} |`,
  );
}
console.log('\n| resident memory | MiB |\n| --- | --- |');
for (const [part, pids] of Object.entries({ ...agentPids, ...fleetPids })) {
  const each = pids.map((pid) => (residentMib(pid) ?? 0).toFixed(0));
  console.log(`| ${part} | ${each.join(', ')} |`);
}
