import { z } from 'zod';
import { count, digest, float } from './common.js';

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
  /** `draining`: it takes no more requests, being on its way out or drained by its operator. */
  readonly state: 'ready' | 'draining';
  /** Requests that it wants at a time. */
  readonly places: number;
  /** Requests that it has. */
  readonly inHand: number;
  /** Hidden states that it refused: of plans that are over, or from who has no place in one. */
  readonly refusedHops?: number | undefined;
  /** Another board says to be this one: both have its key, and take turns. */
  readonly contested?: boolean | undefined;
  /** Prefix pages of all its models that it has said to keep. */
  readonly pages: number;
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

/** What a board of a fleet may be called: 1 to 63 lower-case letters, digits and "-". */
export const BOARD_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** A model that is cut over boards, or told which one has all of it. */
export interface FleetPlanStatus {
  /** Greater than those of all plans before. */
  readonly number: number;
  /** Digest of the model. */
  readonly model: string;
  /** `whole`: requests can run on it. */
  readonly state: 'loading' | 'whole' | 'failed';
  /** Whether the boards of a stage each have some rows of every matrix. */
  readonly byRows?: boolean | undefined;
  /** Of the links of such boards, once it is measured: of the slowest stage. */
  readonly roundTripMs?: number | undefined;
  /** All boards in the order of their stages; the first one of the last stage has the requests. */
  readonly stages: {
    /** Name of the board. */
    readonly board: string;
    /** Its stage, from 0 on. */
    readonly stage: number;
    /** Layers from..to-1. */
    readonly from: number;
    /** The layer after its last one. */
    readonly to: number;
    /** What the board says of it. */
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
  /** Times that a request was taken from a board that is there, for one that begins or ends it earlier. */
  readonly moved: number;
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
      contested: z.boolean().optional(),
      pages: count,
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
        byRows: z.boolean().optional(),
        roundTripMs: z.number().optional(),
        stages: z.array(
          z.object({
            board: z.string(),
            stage: count,
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
  moved: count,
  repeated: count,
  diverged: count,
});

export const fleetAdviseParams = z.strictObject({
  /** Share of their time for which boards are to be busy. */
  target: z.number().min(0.05).max(1).optional(),
  /** How far ahead. */
  horizonMs: z.number().min(60_000).max(86_400_000).optional(),
});

/** How many boards a fleet should have soon. */
export interface FleetAdvice {
  /** Boards' worth of work that is expected at most until the horizon. */
  readonly expected: number;
  /** Where that figure is from. */
  readonly from: 'now' | 'trend' | 'a day ago' | 'a week ago';
  /** Boards that there are, without those that drain. */
  readonly boards: number;
  /** How many there should be. */
  readonly wanted: number;
  /** Share of their time for which so many would be busy. */
  readonly busyShare: number;
  /** Minutes that the gateway has written down. */
  readonly samples: number;
  /** Joules of all boards for a token of the last hour, where all their descriptions have `watts`. */
  readonly joulesPerToken?: number | undefined;
  /** Price of a million tokens at the last hour's pace, where all descriptions have `price`. */
  readonly pricePerMillion?: number | undefined;
}
export const fleetAdvice: z.ZodType<FleetAdvice> = z.object({
  expected: z.number(),
  from: z.enum(['now', 'trend', 'a day ago', 'a week ago']),
  boards: count,
  wanted: count,
  busyShare: z.number(),
  samples: count,
  joulesPerToken: z.number().optional(),
  pricePerMillion: z.number().optional(),
});

/** Which board is to take no more requests, or take them again. */
export interface FleetDrain {
  /** Its name in the fleet. */
  readonly board: string;
  /** Whether it takes requests again. */
  readonly undo?: boolean | undefined;
}
export const fleetDrainParams: z.ZodType<FleetDrain> = z.strictObject({
  board: z.string().max(80),
  undo: z.boolean().optional(),
});
/** What a board that is drained has still to do. */
export const fleetDrainResult = z.object({ inHand: count });

/** What one board of a fleet said of itself when it was asked to check itself. */
export interface FleetBoardReport {
  /** Its name in the fleet. */
  readonly name: string;
  /** Version of its agent; absent with all that follows where it did not answer. */
  readonly agent?: string | undefined;
  /** Version of the agent's Node.js. */
  readonly node?: string | undefined;
  /** Operating system and processor of the agent. */
  readonly platform?: string | undefined;
  /** Name of its description, and SHA-256 of the whole description. */
  readonly description?:
    | {
        /** Of the board's kind. */
        readonly name: string;
        /** SHA-256, in hexadecimal. */
        readonly digest: string;
      }
    | undefined;
  /** Models that it was asked to load, by digest. */
  readonly models: {
    /** Digest of the model. */
    readonly model: string;
    /** `loading`, `loaded` or `failed`. */
    readonly state: string;
  }[];
  /** Of each model that it has loaded, a short generation: SHA-256 of the bits of its tokens and log-probabilities, or why there is none. */
  readonly generations: {
    /** Digest of the model. */
    readonly model: string;
    /** How many it generated. */
    readonly tokens: number;
    /** SHA-256 of their bits, in hexadecimal. */
    readonly digest?: string | undefined;
    /** Why there is no generation. */
    readonly error?: string | undefined;
  }[];
  /** Milliseconds that questions took from the gateway to the board and back. */
  readonly roundTripsMs: number[];
  /** Why it did not answer. */
  readonly error?: string | undefined;
}

/** Something in which a board is not as it should be, or not as the others. */
export interface FleetDifference {
  /** Name of the board. */
  readonly board: string;
  /** What differs. */
  readonly what: 'answer' | 'version' | 'description' | 'models' | 'generation';
  /** What the board has. */
  readonly found: string;
  /** What the gateway or most of the others have. */
  readonly expected: string;
}

/** What the boards of a fleet are, compared. */
export interface FleetVerification {
  /** Version of the gateway. */
  readonly gateway: string;
  /** By name. */
  readonly boards: FleetBoardReport[];
  /** Empty where all is as it should be. */
  readonly differences: FleetDifference[];
}
const text = z.string().max(2_000);
/** All but its name and its round trips, which the gateway knows, is what the board says. */
export const fleetBoardReport = z.object({
  name: text,
  agent: text.optional(),
  node: text.optional(),
  platform: text.optional(),
  description: z.object({ name: text, digest }).optional(),
  models: z.array(z.object({ model: digest, state: text })).max(512),
  generations: z
    .array(z.object({ model: digest, tokens: count, digest: digest.optional(), error: text.optional() }))
    .max(512),
  roundTripsMs: z.array(float).max(64),
  error: text.optional(),
}) satisfies z.ZodType<FleetBoardReport>;
export const fleetVerification: z.ZodType<FleetVerification> = z.object({
  gateway: z.string(),
  boards: z.array(fleetBoardReport),
  differences: z.array(
    z.object({
      board: z.string(),
      what: z.enum(['answer', 'version', 'description', 'models', 'generation']),
      found: z.string(),
      expected: z.string(),
    }),
  ),
});
