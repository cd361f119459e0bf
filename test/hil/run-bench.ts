import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { inspectFirmware } from '../../sdk/board-setup.js';
import { type BoardInfo, connect } from '../../sdk/index.js';
import { accessOf, type Bench } from './bench-file.js';
import type { BenchReport, TestReport } from './report.js';

/** A board that stops answering in the middle of the suite must not hold the others. */
const SUITE_MS = 60 * 60_000;

/** What vitest's JSON reporter writes, as far as it is used. */
const results = z.object({
  testResults: z.array(
    z.object({
      message: z.string(),
      assertionResults: z.array(
        z.object({
          title: z.string(),
          status: z.string(),
          duration: z.number().nullish(),
          failureMessages: z.array(z.string()),
          meta: z.object({ skipReason: z.string().optional() }),
        }),
      ),
    }),
  ),
});

/** Runs the conformance suite on one board. What is wrong with the board is part of the report. */
export async function runBench(bench: Bench): Promise<BenchReport> {
  const { name, device } = bench;
  const access = accessOf(bench);
  const base = { bench: name, device, remarks: [remarkOf(bench)], tests: [] };
  if (bench.skip !== undefined) return { ...base, outcome: 'skipped', reason: bench.skip };
  if (bench.tokenVariable !== undefined && access.token === undefined)
    return { ...base, outcome: 'skipped', reason: `the variable ${bench.tokenVariable} has no token` };
  let board: BoardInfo;
  try {
    // A file for another FPGA says that somebody took one board for another.
    if (bench.bitstream !== undefined) inspectFirmware(readFileSync(bench.bitstream), bench.board);
    await using client = await connect(device, { ...access, client: 'pynq-llm test:hil' });
    board = client.info;
  } catch (error) {
    return { ...base, outcome: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
  if (board.description.name !== bench.board)
    return {
      ...base,
      board,
      outcome: 'failed',
      reason: `the device is a ${board.description.name}, not a ${bench.board}: nothing was done to it`,
    };
  return { ...base, board, ...(await runSuite(bench)) };
}

/** Nothing tells which bitstream runs: the report says so. */
function remarkOf({ bitstream }: Bench): string {
  return bitstream === undefined
    ? 'bitstream: none is named; the one that runs was tested'
    : `bitstream: ${bitstream} is named, and nothing is loaded here; the one that runs was tested`;
}

async function runSuite(bench: Bench): Promise<Pick<BenchReport, 'outcome' | 'reason' | 'tests'>> {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-hil-'));
  const output = join(folder, 'results.json');
  try {
    const args = ['run', '--project', 'device', '--reporter=json', `--outputFile=${output}`];
    const child = spawn(process.execPath, [join('node_modules', 'vitest', 'vitest.mjs'), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: SUITE_MS,
      env: {
        ...process.env,
        PYNQ_LLM_BENCH: bench.file,
        PYNQ_LLM_HOME: folder,
      },
    });
    const [status, signal] = await once(child, 'exit');
    if (existsSync(output)) return judge(status, readFileSync(output, 'utf8'));
    const how = signal === null ? `status ${status}` : `${signal} after ${SUITE_MS / 60_000} minutes`;
    return { outcome: 'failed', reason: `the suite ended with ${how} and no results`, tests: [] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function judge(status: number | null, json: string): Pick<BenchReport, 'outcome' | 'reason' | 'tests'> {
  const { testResults } = results.parse(JSON.parse(json));
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults.map(toReport));
  if (status === 0) return { outcome: 'passed', tests };
  const message = testResults.map((file) => file.message).find((text) => text !== '');
  const failed = tests.filter(({ outcome }) => outcome === 'failed').length;
  return { outcome: 'failed', tests, reason: message ?? `${failed} of ${tests.length} tests failed` };
}

type Assertion = z.infer<typeof results>['testResults'][number]['assertionResults'][number];

function toReport({ title, status, duration, failureMessages, meta }: Assertion): TestReport {
  const outcome = status === 'passed' || status === 'failed' ? status : 'skipped';
  const reason =
    outcome === 'failed' ? failureMessages.join('; ') : outcome === 'skipped' ? meta.skipReason : undefined;
  return { title, outcome, durationMs: duration ?? 0, ...(reason !== undefined && { reason }) };
}
