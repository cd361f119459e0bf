import { z } from 'zod';
import type { PoolShape, Rows, TensorCut } from '../../llm/index.js';
import type { Params } from '../../protocol/index.js';
import type { LinkAddress } from '../links/link-port.js';
import { linkAddress, pack, unpack } from '../messages.js';

const count = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const MOST_STAGES = 64;
const MOST_MEMBERS = 8;
const MOST_LANE_BYTES = 16 * 2 ** 20;

/** A board of a stage. */
export interface PlannedBoard {
  readonly board: string;
  /** Of its lease: a board that comes back is not the one that was planned with. */
  readonly owner: string;
  /** Bytes for keys and values. */
  readonly kvBytes: number;
  /** The driver's buffers. */
  readonly working: { readonly staged: boolean; readonly resultBytes: number };
}

/** Who computes which rows of a stage's matrices, and how its boards meet. */
export interface RowPlan {
  readonly cut: TensorCut;
  /** Where each board is reached. */
  readonly links: readonly LinkAddress[];
  /** Most bytes of a message between them. */
  readonly laneBytes: number;
}

/** Layers from..to-1 of a model. */
export interface PlannedStage {
  readonly from: number;
  readonly to: number;
  /** One board, or several that compute together: the first of them takes and gives hidden states, and of the last stage it has the engine. */
  readonly boards: readonly PlannedBoard[];
  /** Where there are several. */
  readonly rows?: RowPlan | undefined;
}

/** A model cut over boards, as the gateway writes it for them. Its number is the revision under which it is stored. */
export interface PlanRecord {
  readonly model: string;
  /** The stages in their order; the engine is on the last one. None where the plan is over and no other one is made yet. */
  readonly stages: readonly PlannedStage[];
  readonly settings: Pick<Params<'models.load'>, 'contextLength' | 'kvType' | 'maxColumns'>;
  /** The pages of keys and values that all boards have in common: as many as the smallest has room for. */
  readonly kvPool: PoolShape;
  /** Values of a token's hidden state. */
  readonly width: number;
  /** Milliseconds that a stage may take for what comes to it. */
  readonly hopMs: number;
}

const rows: z.ZodType<Rows> = z.object({ first: count, count });
const wire = z.enum(['q8', 'f32']);
const share = z.object({ heads: rows, kvHeads: rows, stream: rows, feedForward: rows, logits: rows });
const rowPlan: z.ZodType<RowPlan> = z.object({
  cut: z.object({ shares: z.array(share).min(2).max(MOST_MEMBERS), attended: wire, inner: wire }),
  links: z.array(linkAddress).min(2).max(MOST_MEMBERS),
  laneBytes: z.int().min(1).max(MOST_LANE_BYTES),
});
const plannedBoard: z.ZodType<PlannedBoard> = z.object({
  board: z.string().max(63),
  owner: z.string().max(64),
  kvBytes: count,
  working: z.object({ staged: z.boolean(), resultBytes: count }),
});
const plannedStage: z.ZodType<PlannedStage> = z
  .object({
    from: count,
    to: count,
    boards: z.array(plannedBoard).min(1).max(MOST_MEMBERS),
    rows: rowPlan.optional(),
  })
  .refine(
    ({ boards, rows }) =>
      rows === undefined
        ? boards.length === 1
        : rows.links.length === boards.length && rows.cut.shares.length === boards.length,
    'boards and their rows are not as many',
  );

const planRecord: z.ZodType<PlanRecord> = z.object({
  model: digest,
  stages: z.array(plannedStage).max(MOST_STAGES),
  settings: z.object({
    contextLength: z.int().min(1).optional(),
    kvType: z.enum(['f16', 'int8']).optional(),
    maxColumns: z.int().min(1).max(64).optional(),
  }),
  kvPool: z.object({
    frames: count,
    groups: z.object({ full: count, windowed: count }),
    window: count,
    keptRowFrames: count,
    rowFrames: count,
  }),
  width: z.int().min(1),
  hopMs: z.int().min(1),
});

/** A plan with its number. */
export interface Plan extends PlanRecord {
  readonly number: number;
}

export function packPlan(record: PlanRecord): Uint8Array {
  return pack(record);
}

/** @throws PynqLlmError FLEET_BAD_MESSAGE */
export function readPlan(data: Uint8Array, number: number): Plan {
  return { ...unpack(planRecord, data, 'A plan of the gateway'), number };
}

/** Where a board is in a plan: among its stages, and among the boards of its stage. */
export interface Place {
  readonly stage: number;
  readonly member: number;
}

/** The place of a board in a plan; undefined where it has none. */
export function placeIn({ stages }: PlanRecord, board: string, owner: string): Place | undefined {
  for (const [stage, { boards }] of stages.entries()) {
    const member = boards.findIndex((one) => one.board === board && one.owner === owner);
    if (member >= 0) return { stage, member };
  }
  return undefined;
}

/** All boards of a plan, stage after stage. */
export function boardsOf({ stages }: Pick<PlanRecord, 'stages'>): PlannedBoard[] {
  return stages.flatMap(({ boards }) => boards);
}
