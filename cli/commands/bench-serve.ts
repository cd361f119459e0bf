import { Command } from 'commander';
import type { ClassReport, Percentiles, ServeLoad, ServeResult } from '../../bench/index.js';
import { harmlessJson } from '../../errors/index.js';
import type { Model } from '../../sdk/index.js';
import { writeFile } from '../files.js';
import {
  type DeviceOptions,
  decimal,
  type LoadFlags,
  loadSettings,
  modelOption,
  wholeNumber,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatCount } from '../output/units.js';
import { openModel, withInterrupt } from '../session.js';
import { terminalPrompts } from '../terminal-prompts.js';

interface BenchServeOptions extends DeviceOptions, LoadFlags, ServeLoad {
  readonly model: string;
  readonly svg?: string;
  readonly json?: boolean;
}

/** `bench serve`: a load of requests at random moments, and how long they took. */
export function benchServeCommand(): Command {
  const command = new Command('serve')
    .description('Put a load of requests on a device and tell how long they took, by class.')
    .addOption(modelOption())
    .option('--rate <n>', 'mean requests a second', decimal(0.001, 1_000), 1)
    .option(
      '--seconds <n>',
      'how long requests come; those that came are waited for',
      decimal(0.1, 86_400),
      30,
    )
    .option('--batch-share <p>', 'part of the requests that are batch work', decimal(0, 1), 0.5)
    .option('--clients <n>', 'clients, each with a connection of its own', wholeNumber(1, 48), 4)
    .option(
      '--prompt-tokens <n>',
      'length of prompts, from half of it to double',
      wholeNumber(1, 100_000),
      64,
    )
    .option('--output-tokens <n>', 'length of answers, likewise', wholeNumber(1, 100_000), 32)
    .option('-s, --seed <n>', 'seed of moments, lengths and prompts', wholeNumber(), 1)
    .option('--svg <file>', 'write the distributions of the times as a picture');
  withJson(withDevice(withLoad(command)), 'one JSON object: the report, and every request');
  return command.action(async (_: unknown, self: Command) => {
    // `--json` of `bench` stands before the name of this command or after it.
    const options: BenchServeOptions = self.optsWithGlobals();
    const { svg } = options;
    // Known before the load, which may take hours, and not after it.
    if (svg !== undefined) writeFile(svg, '');
    const { benchServe } = await import('../../bench/index.js');
    const result = await withInterrupt((signal) =>
      withModels(options, signal, (models) => benchServe(models, options, signal)),
    );
    const { report, requests } = result;
    printText(options.json ? `${harmlessJson({ report, requests })}\n` : `${describe(result)}\n`);
    if (svg !== undefined) writeFile(svg, result.svg);
  });
}

/** The model over a connection for each client; a mock is served by an agent of this process. */
async function withModels<T>(
  options: BenchServeOptions,
  signal: AbortSignal,
  run: (models: readonly Model[]) => Promise<T>,
): Promise<T> {
  const open: AsyncDisposable[] = [];
  const keep = <R extends AsyncDisposable>(resource: R): R => {
    open.push(resource);
    return resource;
  };
  try {
    const { connect } = await import('../../sdk/index.js');
    let url = options.device;
    if (url.startsWith('mock:')) {
      const { startAgent } = await import('../../agent/index.js');
      url = keep(await startAgent({ device: url, listen: '127.0.0.1:0' })).url;
    }
    const { token, tlsFingerprint: fingerprint } = options;
    const ssh = { prompts: terminalPrompts() };
    const connectOnce = async () => keep(await connect(url, { token, fingerprint, ssh, signal }));
    const first = await openModel(await connectOnce(), options.model, signal, loadSettings(options));
    const models = [first];
    while (models.length < options.clients) {
      const board = await connectOnce();
      models.push(await board.models.load(first.digest, { ...loadSettings(options), signal }));
    }
    return await run(models);
  } finally {
    for (const resource of open.reverse()) await resource[Symbol.asyncDispose]();
  }
}

function describe({ report }: ServeResult): string {
  const facts = formatFacts([
    ['time', `${report.seconds.toFixed(1)} s`],
    ['tokens', `${report.tokens}, ${report.tokensPerSecond.toFixed(2)} a second`],
    ['core cycles a token', formatCount(report.coreCyclesPerToken)],
  ]);
  const headings = ['milliseconds', '50 %', '90 %', '95 %', '99 %'].map((heading, i) => ({
    heading,
    right: i > 0,
  }));
  const rows = Object.entries(report.classes).flatMap(([served, one]) => classRows(served, one));
  return `${facts}\n\n${formatTable(headings, rows)}`;
}

function classRows(
  served: string,
  { requests, errors, firstToken, betweenTokens, end }: ClassReport,
): string[][] {
  if (requests === 0) return [];
  const failed = Object.entries(errors).map(([code, count]) => `${count} ${code}`);
  const row = (what: string, { p50, p90, p95, p99 }: Percentiles) => [
    `${served}: ${what}`,
    ...[p50, p90, p95, p99].map((ms) => (Number.isNaN(ms) ? '' : ms.toFixed(1))),
  ];
  return [
    [`${served}: ${[`${requests} requests`, ...failed].join(', ')}`, '', '', '', ''],
    row('first token', firstToken),
    row('between tokens', betweenTokens),
    row('end', end),
  ];
}
