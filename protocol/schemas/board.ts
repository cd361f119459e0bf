import { z } from 'zod';
import type { ProtocolVersion } from '../version.js';
import { count, float, role, uint32 } from './common.js';

const version: z.ZodType<ProtocolVersion> = z.object({ major: count, minor: count });

/** Not strict: a peer of another major version may send more, and has to be told the versions, not the fields. */
export const helloParams = z.looseObject({
  protocol: version,
  client: z.string().max(200),
  token: z.string().max(1_000).optional(),
});

export const helloResult = z.object({
  protocol: version,
  agent: z.string(),
  capabilities: z.array(z.string()),
  role,
  heartbeatMs: count,
});
export type HelloResult = z.output<typeof helloResult>;

/** A range of physical addresses. */
export interface AddressRange {
  /** Its first address. */
  readonly base: number;
  /** Its length in bytes. */
  readonly size: number;
}
const region: z.ZodType<AddressRange> = z.object({ base: uint32, size: count });

/** What the board carries. */
export interface WireBoardDescription {
  /** Short name, such as `pynq-z1`. */
  readonly name: string;
  /** For people, such as `PYNQ-Z1, SECDA-LLM bfpp v3`. */
  readonly title: string;
  /** Instruction set of the processor. */
  readonly architecture: 'armv7' | 'aarch64';
  /** Revision of the core: v1 has one DMA lane, v3 four, v4 also a unit for SOFT_MAX. */
  readonly revision: 'v1' | 'v3' | 'v4';
  /** How many cycles the core takes: those of the SystemC model, or of the synthesised core. */
  readonly timing: 'systemc' | 'synthesised';
  /** How fast the synthesised core unpacks weights: as fast as their words come in, or as the HLS report has it. */
  readonly unpack: 'words' | 'hls';
  /** Clock of the core in Hz. */
  readonly clockHz: number;
  /** Types of weights that the bitstream computes, as numbers of the core: 2 to 6 for Q2_K to Q6_K. */
  readonly weightTypes: number[];
  /** Register windows that exist, by name: `control`, `hwc`, `dma0` to `dma3`. */
  readonly windows: Record<string, AddressRange>;
  /** The DMA engines. */
  readonly dma: {
    /** How many there are. */
    readonly lanes: 1 | 4;
    /** Width of the LENGTH register, 14 to 26: the longest transfer is 2^lengthBits - 1 bytes. */
    readonly lengthBits: number;
  };
  /** The hardware counters in the window `hwc`. */
  readonly hwc?:
    | {
        /** Whether their reset lies before or behind them. */
        readonly layout: 'reset-first' | 'reset-last';
        /** How many there are. */
        readonly monitors: number;
      }
    | undefined;
  /** Memory that DMA buffers are allocated from. */
  readonly dmaMemory: AddressRange[];
  /** All DDR memory in bytes. */
  readonly memoryBytes: number;
  /** What the core's memories hold. */
  readonly capacity: {
    /** Super-blocks of weights. */
    readonly weightBlocks: number;
    /** Super-blocks of activations. */
    readonly inputBlocks: number;
  };
  /** Where the design did not meet timing. */
  readonly setup?:
    | {
        /** Its worst setup slack in nanoseconds. */
        readonly slackNs: number;
        /** The clock in Hz that this was at. */
        readonly atHz: number;
      }
    | undefined;
}
export const boardDescription: z.ZodType<WireBoardDescription> = z.object({
  name: z.string(),
  title: z.string(),
  architecture: z.enum(['armv7', 'aarch64']),
  revision: z.enum(['v1', 'v3', 'v4']),
  timing: z.enum(['systemc', 'synthesised']),
  unpack: z.enum(['words', 'hls']),
  clockHz: count,
  weightTypes: z.array(count),
  windows: z.record(z.string(), region),
  dma: z.object({ lanes: z.union([z.literal(1), z.literal(4)]), lengthBits: count }),
  hwc: z.object({ layout: z.enum(['reset-first', 'reset-last']), monitors: count }).optional(),
  dmaMemory: z.array(region),
  memoryBytes: count,
  capacity: z.object({ weightBlocks: count, inputBlocks: count }),
  setup: z.object({ slackNs: float, atHz: count }).optional(),
});

/** What a board and its agent are. */
export interface BoardInfo {
  /** URL of the device that the agent has opened, such as `mock:` or `linux:`. */
  readonly device: string;
  /** The board itself; of a fleet the first of its boards. */
  readonly description: WireBoardDescription;
  /** Version of the agent. */
  readonly agent: string;
  /** Version of the agent's Node.js, such as `v20.11.0`. */
  readonly node: string;
  /** Operating system and processor of the agent, such as `linux arm`. */
  readonly platform: string;
  /** Version of the protocol that the agent speaks. */
  readonly protocol: ProtocolVersion;
  /** What the agent can do, by name; docs/protocol.md has the names. */
  readonly capabilities: string[];
  /** Milliseconds since the agent started. */
  readonly uptimeMs: number;
  /** Where it is not one board but several behind one gateway. */
  readonly fleet?:
    | {
        /** Boards that were there when it was asked. */
        readonly boards: number;
      }
    | undefined;
}
export const boardInfo: z.ZodType<BoardInfo> = z.object({
  device: z.string(),
  description: boardDescription,
  agent: z.string(),
  node: z.string(),
  platform: z.string(),
  protocol: version,
  capabilities: z.array(z.string()),
  uptimeMs: float,
  fleet: z.object({ boards: count }).optional(),
});

/** How a board and its agent are. */
export interface BoardHealth {
  /** `starting` while the device is opened, `failed` when it could not be; a busy device is `ready`. */
  readonly state: 'starting' | 'ready' | 'failed';
  /** How often the device's worker was started again after a crash or a hang. */
  readonly restarts: number;
  /** Why the worker ended last, or why the device could not be opened. */
  readonly lastError?: string | undefined;
  /** Milliseconds since the agent started. */
  readonly uptimeMs: number;
  /** Milliseconds since the device's worker last reported anything while it had work; 0 while it has none. */
  readonly silentMs: number;
  /** Clients that are connected. */
  readonly sessions: number;
  /** Generations that have not ended, or whose end was not read. */
  readonly generations: number;
  /** Models that are loaded. */
  readonly models: number;
  /** DMA memory in bytes; absent until the device is open. */
  readonly dmaMemory?:
    | {
        /** All that there is. */
        readonly total: number;
        /** What is not allocated. */
        readonly free: number;
        /** The longest buffer that could be allocated. */
        readonly largestFree: number;
      }
    | undefined;
  /** The agent's process. */
  readonly process: {
    /** Bytes of its memory that are resident. */
    readonly residentBytes: number;
  };
  /** The store of models. Absent where its file system does not say; `problems` has the reason then. */
  readonly store?:
    | {
        /** Bytes that are free on its file system. */
        readonly freeBytes: number;
      }
    | undefined;
  /** Parts of the agent that fail, or do not answer in time; agents before sent an error instead. */
  readonly problems?:
    | {
        /** Which part. */
        readonly part: string;
        /** How it fails. */
        readonly error: string;
      }[]
    | undefined;
}
export const boardHealth: z.ZodType<BoardHealth> = z.object({
  state: z.enum(['starting', 'ready', 'failed']),
  restarts: count,
  lastError: z.string().optional(),
  uptimeMs: float,
  silentMs: float,
  sessions: count,
  generations: count,
  models: count,
  dmaMemory: z.object({ total: count, free: count, largestFree: count }).optional(),
  process: z.object({ residentBytes: count }),
  store: z.object({ freeBytes: count }).optional(),
  problems: z.array(z.object({ part: z.string(), error: z.string() })).optional(),
});
