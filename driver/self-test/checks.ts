import { z } from 'zod';
import type { CoreRevision } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { softMaxVector } from './softmax.js';

const cycles = z.number().int().min(0);
const fileName = z.string().regex(/^[\w.-]{1,200}$/, 'a plain file name');
const statusList = z.array(z.number().int().min(0)).max(16);

/** What a list does not have is not compared. */
const measurement = z.object({
  cycles,
  /** Per monitor: the state that was counted, and the count. */
  hwc: z
    .array(z.tuple([cycles, cycles]))
    .max(16)
    .default([]),
  status: statusList.default([]),
  inputCycles: cycles.optional(),
  tiles: z
    .array(z.object({ m: cycles, mstep: cycles, load_cycles: cycles, compute_cycles: cycles }))
    .max(4096)
    .default([]),
});

const indexCase = z.object({
  file: fileName,
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .optional(),
  v1: measurement.optional(),
  v1_preload: measurement.optional(),
  v3: measurement.optional(),
  v3_preload: measurement.optional(),
});

const counterRow = z.object({
  file: fileName,
  revision: z.enum(['v1', 'v3']),
  resident: z.boolean(),
  cycles,
  counts: z.array(z.record(z.string().regex(/^\d{1,10}$/), cycles)).max(16),
  after: z.array(fileName).max(64).optional(),
});

type CounterRow = z.infer<typeof counterRow>;

const stream = z.object({
  name: z.string().max(200),
  ver: z.number().int(),
  wgt_type: z.number().int().optional(),
  steps: z
    .array(
      z.discriminatedUnion('op', [
        z.object({ op: z.literal('send'), dma: z.number().int().min(0).max(3), words: z.string() }),
        z.object({ op: z.literal('run'), cycles }),
      ]),
    )
    .max(1000),
  expect: z.array(z.tuple([z.string(), z.number().int().min(0).max(1)])).max(1 << 20),
  regs: statusList.default([]),
});

/** One thing that the self-test checks; plain data, so that a client can send it with its files to the agent. */
export const selfTestCheck = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('matmul'),
    name: z.string(),
    file: fileName,
    sha256: z.string().optional(),
    resident: z.boolean(),
    /** Cycles and counters of the first MatMul after power-up, where the index has them. */
    measured: measurement.optional(),
  }),
  z.object({ kind: z.literal('counters'), name: z.string(), row: counterRow }),
  z.object({ kind: z.literal('stream'), name: z.string(), stream }),
  z.object({ kind: z.literal('softmax'), name: z.string(), vector: softMaxVector }),
]);
export type SelfTestCheck = z.infer<typeof selfTestCheck>;
export type MatMulCheck = Extract<SelfTestCheck, { kind: 'matmul' }>;
export type CountersCheck = Extract<SelfTestCheck, { kind: 'counters' }>;
export type StreamCheck = Extract<SelfTestCheck, { kind: 'stream' }>;
export type SoftMaxCheck = Extract<SelfTestCheck, { kind: 'softmax' }>;

/** The lists beside the vector files, as parsed JSON; each may be absent. */
export interface VectorLists {
  readonly index?: unknown;
  readonly counters?: unknown;
  readonly streams?: unknown;
  readonly softmax?: unknown;
}

/** A stream of opcodes without effect, some with bit 5: on v4 that is SOFT_MAX. */
const NO_OPS = 'nop_opcodes';

/**
 * Everything that the lists let one check on a core of this revision: each MatMul with staged and with resident
 * weights, each row of counters, each word stream; on v4 each case of SOFT_MAX.
 * @throws PynqLlmError DRIVER_BAD_VECTOR where a list does not have the documented form, or all have nothing to check
 */
export function listChecks(lists: VectorLists, revision: CoreRevision): SelfTestCheck[] {
  const index = parse('index.json', z.object({ cases: z.array(indexCase) }), lists.index ?? { cases: [] });
  const rows = parse('counters.json', z.array(counterRow), lists.counters ?? []);
  const streams = parse('streams.json', z.array(stream), lists.streams ?? []);
  const softmax = revision === 'v4' ? parse('softmax.json', z.array(softMaxVector), lists.softmax ?? []) : [];
  const like = vectorRevision(revision);
  const checks: SelfTestCheck[] = [
    ...index.cases.flatMap((entry) => [
      matMulCheck(entry, false, entry[like]),
      // Both are sent alike: see asSent.
      matMulCheck(entry, true, entry[`${like}_preload`] && entry[like]),
    ]),
    ...rows
      .filter((row) => row.revision === like)
      .map((row) => asSent(row, rows))
      .map((row): CountersCheck => {
        const after = row.after ? ` after ${row.after.join(', ')}` : '';
        return { kind: 'counters', name: `${row.file} ${placement(row.resident)} counters${after}`, row };
      }),
    ...streams
      .filter(({ ver }) => ver === (like === 'v1' ? 1 : 3))
      .filter(({ name }) => revision !== 'v4' || name !== NO_OPS)
      .map(
        (entry): StreamCheck => ({
          kind: 'stream',
          name: `stream ${entry.name}${entry.wgt_type === undefined ? '' : `, type ${entry.wgt_type}`}`,
          stream: entry,
        }),
      ),
    ...softmax.map(
      (vector): SoftMaxCheck => ({ kind: 'softmax', name: `SOFT_MAX of ${vector.name}`, vector }),
    ),
  ];
  if (checks.length > 0) return checks;
  throw new PynqLlmError(
    'DRIVER_BAD_VECTOR',
    `The lists have nothing for a core of revision ${revision}: nothing would be checked.`,
    { context: { revision } },
  );
}

/**
 * A row as this driver causes it. The lists have resident weights sent apart from their header and COMPUTE; the driver
 * sends all three in one transfer wherever the weights lie, so the counts of staged weights hold for both.
 */
function asSent(row: CounterRow, rows: readonly CounterRow[]): CounterRow {
  if (!row.resident) return row;
  const after = row.after?.join();
  const alike = rows.find(
    (other) =>
      !other.resident &&
      other.file === row.file &&
      other.revision === row.revision &&
      other.after?.join() === after,
  );
  if (alike !== undefined) return { ...alike, resident: true };
  throw new PynqLlmError('DRIVER_BAD_VECTOR', `counters.json has ${row.file} resident but not staged.`, {
    context: { file: row.file },
  });
}

/** The revision whose vectors a core is checked with: v4 computes a MatMul as v3 does. */
export function vectorRevision(revision: CoreRevision): 'v1' | 'v3' {
  return revision === 'v4' ? 'v3' : revision;
}

/** The vector files that a check needs. */
export function filesOf(check: SelfTestCheck): readonly string[] {
  if (check.kind === 'matmul') return [check.file];
  return check.kind === 'counters' ? [check.row.file, ...(check.row.after ?? [])] : [];
}

function matMulCheck(
  { file, sha256 }: z.infer<typeof indexCase>,
  resident: boolean,
  measured: z.infer<typeof measurement> | undefined,
): MatMulCheck {
  const name = `${file} ${placement(resident)}`;
  return { kind: 'matmul', name, file, resident, ...(sha256 && { sha256 }), ...(measured && { measured }) };
}

function placement(resident: boolean): string {
  return resident ? 'resident' : 'staged';
}

function parse<T>(name: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PynqLlmError(
    'DRIVER_BAD_VECTOR',
    `${name} is not as documented: ${issue.path.join('.')}: ${issue.message}.`,
    {
      context: { file: name },
    },
  );
}
