import { z } from 'zod';
import { count, digest } from './common.js';

/** A board of a fleet, as its gateway knows it. */
export interface FleetBoardStatus {
  /** Its name in the fleet. */
  readonly name: string;
  /** URL of its device, such as `mock:`. */
  readonly device: string;
  /** For people, such as `PYNQ-Z1, SECDA-LLM bfpp v3`. */
  readonly title: string;
  /** Version of its agent. */
  readonly agent: string;
  /** `draining`: it takes no more requests, and leaves when those that it has have ended. */
  readonly state: 'ready' | 'draining';
  /** Requests that it wants at a time. */
  readonly places: number;
  /** Requests that it has. */
  readonly inHand: number;
  /** Hidden states that it refused: of plans that are over, or from who has no place in one. */
  readonly refusedHops?: number | undefined;
  /** Tokens that it was the first to tell, since it came. */
  readonly tokens: number;
  /** Requests of it that went on on another board, since it came. */
  readonly redelivered: number;
  /** Models that it was asked to load. */
  readonly models: {
    /** Digest of the model. */
    readonly model: string;
    /** Whether it has it. */
    readonly state: 'loading' | 'loaded' | 'failed';
    /** Why it has it not. */
    readonly error?: string | undefined;
  }[];
}

/** A model that is cut over boards, or told which one has all of it. */
export interface FleetPlanStatus {
  /** Greater than those of all plans before. */
  readonly number: number;
  /** Digest of the model. */
  readonly model: string;
  /** `whole`: requests can run on it. */
  readonly state: 'loading' | 'whole' | 'failed';
  /** In their order; the last board has the requests. */
  readonly stages: {
    readonly board: string;
    /** Layers from..to-1. */
    readonly from: number;
    readonly to: number;
    readonly state: 'loading' | 'loaded' | 'failed';
  }[];
}

/** A fleet, as it is at this moment. */
export interface FleetStatus {
  /** Boards that are there, by name. */
  readonly boards: FleetBoardStatus[];
  /** Where the fleet is told to cut models over boards: how they are cut now. */
  readonly plans?: FleetPlanStatus[] | undefined;
  /** Requests that no board has yet. */
  readonly waiting: number;
  /** Tokens that clients were given since the gateway started. */
  readonly tokens: number;
  /** Times that a request went on on another board. */
  readonly redelivered: number;
  /** Tokens that two boards computed, and that were compared. */
  readonly repeated: number;
  /** Tokens of these that were not the same: above 0 a board is at fault, and the log has its name. */
  readonly diverged: number;
}
export const fleetStatus: z.ZodType<FleetStatus> = z.object({
  boards: z.array(
    z.object({
      name: z.string(),
      device: z.string(),
      title: z.string(),
      agent: z.string(),
      state: z.enum(['ready', 'draining']),
      places: count,
      inHand: count,
      refusedHops: count.optional(),
      tokens: count,
      redelivered: count,
      models: z.array(
        z.object({
          model: digest,
          state: z.enum(['loading', 'loaded', 'failed']),
          error: z.string().optional(),
        }),
      ),
    }),
  ),
  plans: z
    .array(
      z.object({
        number: count,
        model: digest,
        state: z.enum(['loading', 'whole', 'failed']),
        stages: z.array(
          z.object({
            board: z.string(),
            from: count,
            to: count,
            state: z.enum(['loading', 'loaded', 'failed']),
          }),
        ),
      }),
    )
    .optional(),
  waiting: count,
  tokens: count,
  redelivered: count,
  repeated: count,
  diverged: count,
});
