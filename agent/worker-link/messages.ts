import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../../errors/index.js';
import type {
  BoardInfo,
  CoreTypes,
  GenerateEvent,
  ProgressUnit,
  Result,
  StepEvent,
} from '../../protocol/index.js';
import type { KvSettings } from './kv-settings.js';
import type { DeviceMethod, DeviceParams } from './methods.js';
import type { FromStage, ToStage } from './stage-messages.js';

export interface DeviceCall<M extends DeviceMethod = DeviceMethod> {
  readonly kind: 'call';
  readonly id: number;
  /** Owner of what the call allocates. */
  readonly session: number;
  readonly method: M;
  readonly params: DeviceParams<M>;
}

export type ToWorker =
  | DeviceCall
  | ToStage
  /** Tokens numbered below `credit` may be generated. */
  | { readonly kind: 'grant'; readonly generation: string; readonly credit: number }
  | { readonly kind: 'cancel'; readonly generation: string }
  /** Nobody waits any more for the scores of this call. */
  | { readonly kind: 'cancel-score'; readonly call: number }
  /** Frees what the session owns. */
  | { readonly kind: 'end-session'; readonly session: number }
  /** Whether each step is to be reported. */
  | { readonly kind: 'report-steps'; readonly on: boolean }
  /** A thread for templates and schemas ended by itself. */
  | { readonly kind: 'programs-ended'; readonly thread: number; readonly reason: string }
  | { readonly kind: 'close' };

export interface DmaMemory {
  readonly total: number;
  readonly free: number;
  readonly largestFree: number;
}

export type FromWorker =
  | FromStage
  | { readonly kind: 'ready'; readonly description: BoardInfo['description']; readonly dmaMemory: DmaMemory }
  | { readonly kind: 'open-failed'; readonly error: WireError }
  | { readonly kind: 'reply'; readonly id: number; readonly result: Result<DeviceMethod> }
  | {
      readonly kind: 'failure';
      readonly id: number;
      readonly error: WireError;
      readonly stack?: string | undefined;
    }
  | {
      readonly kind: 'progress';
      readonly id: number;
      readonly done: number;
      readonly total: number;
      readonly unit: ProgressUnit;
    }
  | { readonly kind: 'memory'; readonly dmaMemory: DmaMemory }
  /** For the log. */
  | { readonly kind: 'note'; readonly text: string }
  /** See ProgramHost. */
  | { readonly kind: 'start-programs'; readonly thread: number; readonly port: MessagePort }
  | { readonly kind: 'end-programs'; readonly thread: number }
  | {
      readonly kind: 'step';
      readonly events: readonly { readonly generation: string; readonly event: GenerateEvent }[];
      readonly step?: Omit<StepEvent, 'dropped'> | undefined;
    };

/** Starts and ends threads for templates and schemas, numbered by who asks for them. */
export interface ProgramHost {
  /** @param port that the thread answers on */
  readonly start: (thread: number, port: MessagePort) => void;
  readonly end: (thread: number) => void;
}

/** What the worker is started with. */
export interface WorkerSetup {
  readonly device: string;
  readonly port: MessagePort;
  /** See Doorbell and RegisterMailbox. */
  readonly doorbell: SharedArrayBuffer;
  readonly registerMailbox: SharedArrayBuffer;
  /** Directory for traces. */
  readonly scratch: string;
  readonly kv: KvSettings;
  readonly clientWeights: ReadonlyMap<string, number>;
  /** See AcceleratorOptions. */
  readonly checkCycles: boolean;
  /** Of each model, the device's thread among them; as many as the CPU has cores unless given. */
  readonly threads: number | undefined;
  /** Which matrices of a model go to the core, where who loads it does not say. */
  readonly coreTypes?: CoreTypes | undefined;
}
