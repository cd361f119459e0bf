import type { MethodName, Params } from '../../protocol/index.js';
import type { RegisterPlace } from './register-mailbox.js';
import type { StageSettings } from './stage-messages.js';

/** How the worker takes a method. */
interface DeviceMethodEntry {
  /** Answered by an event, after some steps or slices of work, and in turn for each client. */
  readonly isQueued?: true;
  /** There is more or less DMA memory afterwards. */
  readonly changesMemory?: true;
}

/** Methods that the device's worker answers; all others are answered on the main thread. */
const DEVICE_METHODS = {
  'registers.read': {},
  'registers.write': {},

  'buffers.allocate': { changesMemory: true },
  'buffers.write': {},
  'buffers.read': {},
  'buffers.free': { changesMemory: true },

  'models.plan': {},
  'models.check': {},
  'models.load': { changesMemory: true },
  'models.unload': { changesMemory: true },
  'models.tokenize': { isQueued: true },
  'models.detokenize': { isQueued: true },
  'models.pieces': { isQueued: true },
  'models.applyTemplate': { isQueued: true },
  'models.pin': { isQueued: true },
  'models.unpin': {},
  'models.pages': {},

  'generate.start': { isQueued: true },
  'generate.progress': {},
  score: { isQueued: true },

  'metrics.read': {},

  'counters.read': {},
  'counters.reset': {},
  'counters.setTargets': {},

  'device.listChecks': {},
  'device.runCheck': {},
  'device.matMul': {},

  'trace.start': {},
  'trace.stop': { changesMemory: true },
  'trace.read': {},
  'trace.write': {},
  'trace.replay': {},
} as const satisfies { readonly [M in MethodName]?: DeviceMethodEntry };

type DeviceMethods = typeof DEVICE_METHODS;
export type DeviceMethod = keyof DeviceMethods;
export type QueuedMethod = {
  [M in DeviceMethod]: DeviceMethods[M] extends { isQueued: true } ? M : never;
}[DeviceMethod];

/** Parameters as the worker gets them: with a model's file, registers by their places, and whose an engine's request is. */
export type DeviceParams<M extends DeviceMethod> = M extends ResolvedMethod
  ? ResolvedParams[M]
  : M extends QueuedMethod
    ? Params<M> & Requester
    : Params<M>;

interface ResolvedParams {
  /** With the model's file. */
  'models.check': Params<'models.check'> & { readonly path: string };
  /** With the model's file, and where its packed weights may be kept. */
  'models.load': Params<'models.load'> & {
    readonly path: string;
    readonly packed?: { readonly folder: string; readonly roomBytes: number } | undefined;
    /** Some of its layers alone, for who is in the agent's process. */
    readonly stage?: StageSettings | undefined;
    /** An int32 that is not 0 any more once nobody wants them: loading ends then. */
    readonly over?: SharedArrayBuffer | undefined;
  };
  /** Ending what runs on it, for who is in the agent's process. */
  'models.unload': Params<'models.unload'> & { readonly force?: boolean | undefined };
  'registers.read': readonly RegisterPlace[];
  'registers.write': readonly (RegisterPlace & { readonly value: number })[];
}
/** Methods whose parameters the main thread looks up first. */
export type ResolvedMethod = keyof ResolvedParams;

interface Requester {
  /** As the scheduler has it. */
  readonly client: readonly string[];
}

export function isDeviceMethod(method: MethodName): method is DeviceMethod {
  return Object.hasOwn(DEVICE_METHODS, method);
}

export function isQueued(method: DeviceMethod): boolean {
  return entryOf(method).isQueued === true;
}

export function changesMemory(method: DeviceMethod): boolean {
  return entryOf(method).changesMemory === true;
}

/** The table without the particulars of each method. */
function entryOf(method: DeviceMethod): DeviceMethodEntry {
  return DEVICE_METHODS[method];
}
