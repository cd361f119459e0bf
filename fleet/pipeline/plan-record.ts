import { z } from 'zod';
import type { PoolShape, Rows, TensorCut } from '../../llm/index.js';
import type { Params } from '../../protocol/index.js';
import type { LinkAddress } from '../links/link-port.js';
import { linkAddress, pack, unpack } from '../messages.js';

const count = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const MOST_STAGES = 64;
const MOST_LANE_BYTES = 16 * 2 ** 20;

/** Layers from..to-1 of a model, on a board. */
export interface PlannedStage {
  readonly board: string;
  /** Of its lease: a board that comes back is not the one that was planned with. */
  readonly owner: string;
  readonly from: number;
  readonly to: number;
  /** Bytes for keys and values. */
  readonly kvBytes: number;
  /** The driver's buffers. */
  readonly working: { readonly staged: boolean; readonly resultBytes: number };
}

/** Of a plan by rows: who computes which rows, and how its boards meet. The member with the engine is the first one here. */
export interface RowPlan {
  readonly cut: TensorCut;
  /** Where each member is reached. */
  readonly links: readonly LinkAddress[];
  /** Most bytes of a message between them. */
  readonly laneBytes: number;
}

/** A model cut over boards, as the gateway writes it for them. Its number is the revision under which it is stored. */
export interface PlanRecord {
  readonly model: string;
  /** The stages in their order; the engine is on the last one. None where the plan is over and no other one is made yet. */
  readonly stages: readonly PlannedStage[];
  readonly settings: Pick<Params<'models.load'>, 'contextLength' | 'kvType' | 'maxColumns'>;
  /** Where boards have some rows of all layers instead of some layers. */
  readonly rows?: RowPlan | undefined;
  /** The pages of keys and values that all stages have in common: as many as the smallest has room for. */
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
  cut: z.object({ shares: z.array(share).min(2).max(8), attended: wire, inner: wire }),
  links: z.array(linkAddress).min(2).max(8),
  laneBytes: z.int().min(1).max(MOST_LANE_BYTES),
});

const planRecord: z.ZodType<PlanRecord> = z.object({
  model: digest,
  stages: z
    .array(
      z.object({
        board: z.string().max(63),
        owner: z.string().max(64),
        from: count,
        to: count,
        kvBytes: count,
        working: z.object({ staged: z.boolean(), resultBytes: count }),
      }),
    )
    .max(MOST_STAGES),
  settings: z.object({
    contextLength: z.int().min(1).optional(),
    kvType: z.enum(['f16', 'int8']).optional(),
    maxColumns: z.int().min(1).max(64).optional(),
  }),
  rows: rowPlan.optional(),
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

/** The place of a board in a plan; undefined where it has none. */
export function placeIn({ stages }: PlanRecord, board: string, owner: string): number | undefined {
  const index = stages.findIndex((stage) => stage.board === board && stage.owner === owner);
  return index < 0 ? undefined : index;
}

/** Which member of a cut by rows the board at a place of its plan is: the last one of the plan has the engine, as the first member. */
export function memberAt({ stages }: PlanRecord, index: number): number {
  return (index + 1) % stages.length;
}
