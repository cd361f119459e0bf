import { z } from 'zod';
import { count, float, role, uint32 } from './common.js';

const version = z.object({ major: count, minor: count });

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
/** @interface */
export type HelloResult = z.output<typeof helloResult>;

const region = z.object({ base: uint32, size: count });

export const boardDescription = z.object({
  name: z.string(),
  title: z.string(),
  architecture: z.enum(['armv7', 'aarch64']),
  revision: z.enum(['v1', 'v3']),
  clockHz: count,
  weightTypes: z.array(count),
  windows: z.record(z.string(), region),
  dma: z.object({ lanes: z.union([z.literal(1), z.literal(4)]), lengthBits: count }),
  dmaMemory: z.array(region),
  memoryBytes: count,
  capacity: z.object({ weightBlocks: count, inputBlocks: count }),
});

export const boardInfo = z.object({
  device: z.string(),
  description: boardDescription,
  agent: z.string(),
  node: z.string(),
  platform: z.string(),
  protocol: version,
  capabilities: z.array(z.string()),
  uptimeMs: float,
});
/** @interface */
export type BoardInfo = z.output<typeof boardInfo>;

export const boardHealth = z.object({
  /** `starting` while the device is opened, `failed` when it could not be; a busy device is `ready`. */
  state: z.enum(['starting', 'ready', 'failed']),
  /** How often the device's worker was started again after a crash or a hang. */
  restarts: count,
  lastError: z.string().optional(),
  uptimeMs: float,
  /** Since the device's worker last reported anything while it had work; 0 while it has none. */
  silentMs: float,
  sessions: count,
  generations: count,
  models: count,
  dmaMemory: z.object({ total: count, free: count, largestFree: count }).optional(),
  process: z.object({ residentBytes: count }),
  /** Absent where its file system does not say; `problems` has the reason then. */
  store: z.object({ freeBytes: count }).optional(),
  /** Parts of the agent that fail, or do not answer in time, and how; agents before sent an error instead. */
  problems: z.array(z.object({ part: z.string(), error: z.string() })).optional(),
});
/** @interface */
export type BoardHealth = z.output<typeof boardHealth>;
