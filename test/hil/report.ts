import type { BoardInfo } from '../../sdk/index.js';

export type Outcome = 'passed' | 'failed' | 'skipped';

/** One test on one board. */
export interface TestReport {
  readonly title: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** Why it was skipped, or how it failed. */
  readonly reason?: string;
}

/** Everything about one board of a bench. */
export interface BenchReport {
  readonly bench: string;
  readonly device: string;
  readonly outcome: Outcome;
  /** Why the board was skipped, or what kept the tests from running. */
  readonly reason?: string;
  /** What the board says of itself. */
  readonly board?: BoardInfo;
  /** What was not done to the board, and why. */
  readonly remarks: readonly string[];
  readonly tests: readonly TestReport[];
}

/** The whole run. */
export interface HilReport {
  readonly startedAt: string;
  readonly version: string;
  readonly benches: readonly BenchReport[];
}

/** The report for people: a table of boards, then one section each. */
export function toMarkdown({ startedAt, version, benches }: HilReport): string {
  const count = ({ tests }: BenchReport, outcome: Outcome) =>
    tests.filter((one) => one.outcome === outcome).length;
  const rows = benches.map(
    (bench) =>
      `| ${bench.bench} | ${cell(bench.device)} | ${bench.outcome} | ${count(bench, 'passed')} | ${count(bench, 'failed')} | ${count(bench, 'skipped')} | ${cell(bench.reason ?? '')} |`,
  );
  return [
    '# Hardware in the loop',
    '',
    `pynq-llm ${version}, ${startedAt}`,
    '',
    '| bench | device | outcome | passed | failed | skipped | reason |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
    ...benches.flatMap(section),
  ].join('\n');
}

function section({ bench, board, remarks, tests }: BenchReport): string[] {
  return [
    `## ${bench}`,
    '',
    ...(board === undefined ? ['The board did not describe itself.'] : boardLines(board)),
    ...remarks.map((remark) => `- ${remark}`),
    '',
    ...(tests.length === 0
      ? []
      : [
          '| test | outcome | time | reason |',
          '|---|---|---|---|',
          ...tests.map(
            ({ title, outcome, durationMs, reason }) =>
              `| ${cell(title)} | ${outcome} | ${(durationMs / 1000).toFixed(2)} s | ${cell(reason ?? '')} |`,
          ),
          '',
        ]),
  ];
}

function boardLines({ description, device, agent, node, platform }: BoardInfo): string[] {
  const { name, title, architecture, revision, clockHz, dma, dmaMemory } = description;
  const memory = dmaMemory.map(({ base, size }) => `${size / 2 ** 20} MiB at 0x${base.toString(16)}`);
  return [
    `- ${title} (\`${name}\`, ${architecture}, core ${revision}), device \`${device}\``,
    `- clock ${clockHz / 1e6} MHz, ${dma.lanes} DMA lanes of ${dma.lengthBits} LENGTH bits, DMA memory ${memory.join(', ')}`,
    `- agent ${agent} on Node.js ${node}, ${platform}`,
  ];
}

/** Text of errors may hold what a table cannot. */
function cell(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .replaceAll('|', '\\|')
    .slice(0, 500);
}
