import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import {
  type BoardHealth,
  type BoardInfo,
  CAPABILITIES,
  type Clock,
  type CoreTypes,
} from '../../protocol/index.js';
import type { ModelStore } from '../store/model-store.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import { DeviceHost } from './device-host.js';
import { GenerationRegistry } from './generation-registry.js';
import { createHandler } from './handlers.js';
import { Models } from './models.js';
import { PartProbe } from './part-probe.js';
import type { RegisterTables } from './register-tables.js';
import type { SessionHost } from './session-host.js';
import { Sessions } from './sessions.js';
import { AgentStages } from './stages.js';
import { StepSubscriptions } from './step-subscriptions.js';

export interface CoreOptions {
  readonly device: string;
  readonly store: ModelStore;
  /** Directory for traces. */
  readonly scratch: string;
  readonly kv: KvSettings;
  /** Parts of the board that clients have, relative to the others' 1. */
  readonly clientWeights: ReadonlyMap<string, number>;
  readonly checkCycles?: boolean | undefined;
  /** As many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** Where who loads a model does not say. */
  readonly coreTypes?: CoreTypes | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly hangMs?: number | undefined;
  /** Inside of somebody's program, which only work under way keeps alive. */
  readonly isEmbedded?: boolean | undefined;
}

/** The agent without its sockets: device, models, generations and sessions. */
export class AgentCore implements SessionHost {
  readonly deviceUrl: string;
  readonly device: DeviceHost;
  readonly store: ModelStore;
  readonly models: Models;
  readonly stages: AgentStages;
  readonly generations: GenerationRegistry;
  readonly steps: StepSubscriptions;
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #storeRoom: PartProbe<number>;
  #isDraining = false;

  constructor(options: CoreOptions) {
    this.deviceUrl = options.device;
    this.store = options.store;
    this.models = new Models(options.store, () => this.device, options.log);
    this.stages = new AgentStages(() => this.device, this.models, options.store);
    this.#clock = options.clock;
    this.#startedAt = options.clock.now();
    this.#sessions = new Sessions({
      ...options,
      capabilities: CAPABILITIES,
      handlerOf: (session) => createHandler(this, session),
      onEnd: (session) => this.device.endSession(session),
    });
    this.#storeRoom = new PartProbe(options.clock, () => this.store.freeBytes());
    this.generations = new GenerationRegistry(options.clock, () => this.device, options.log);
    this.steps = new StepSubscriptions((on) => this.device.reportSteps(on));
    this.device = new DeviceHost({
      ...options,
      onEvent: (generation, event) => this.generations.take(generation, event),
      onStep: (step) => this.steps.publish(step),
      onStage: (message) => this.stages.take(message),
      isBusy: options.isEmbedded ? () => this.generations.running > 0 : undefined,
      onLost: (reason) => {
        this.models.clear();
        this.generations.failAll(reason);
        this.stages.lost(reason);
      },
    });
  }

  get uptimeMs(): number {
    return this.#clock.now() - this.#startedAt;
  }

  get uploadBodies(): SessionHost['uploadBodies'] {
    return this.#sessions.uploadBodies;
  }

  openSession(...client: Parameters<SessionHost['openSession']>): ReturnType<SessionHost['openSession']> {
    return this.#sessions.open(...client);
  }

  /** The device's description, as soon as it is open. @throws PynqLlmError AGENT_DEVICE_FAILED */
  async description(): Promise<BoardInfo['description']> {
    // Any call waits for the device to be opened.
    if (this.device.description === undefined) await this.device.call(0, 'counters.read', {});
    if (this.device.description === undefined) throw new Error('an open device has a description');
    return this.device.description;
  }

  /** The device's registers, as soon as it is open. @throws PynqLlmError AGENT_DEVICE_FAILED */
  async registers(): Promise<RegisterTables> {
    await this.description();
    if (this.device.registers === undefined) throw new Error('an open device has registers');
    return this.device.registers;
  }

  /** Answers within a second or so, whatever fails around it: that is part of the answer. */
  async health(): Promise<BoardHealth> {
    const { device } = this;
    const problems: { part: string; error: string }[] = [];
    const note = (part: string, error: unknown) => {
      problems.push({ part, error: error instanceof Error ? error.message : String(error) });
      return undefined;
    };
    const freeBytes = await this.#storeRoom.read().catch((error: unknown) => note('store', error));
    return {
      state: device.state,
      restarts: device.restarts,
      lastError: device.lastError?.message,
      uptimeMs: this.uptimeMs,
      silentMs: device.silentMs,
      sessions: this.#sessions.count,
      generations: this.generations.running,
      models: this.models.count,
      dmaMemory: device.dmaMemory,
      process: { residentBytes: residentBytes((error) => note('process', error)) },
      ...(freeBytes === undefined ? {} : { store: { freeBytes } }),
      ...(problems.length === 0 ? {} : { problems }),
    };
  }

  /** @throws PynqLlmError AGENT_DRAINING once the agent drains */
  requireOpen(): void {
    if (this.#isDraining)
      throw new PynqLlmError('AGENT_DRAINING', 'The agent is shutting down and takes no more generations.');
  }

  /** Takes no more generations, and waits at most `ms` for those that clients wait for. */
  drain(ms: number): Promise<void> {
    this.#isDraining = true;
    return this.generations.quiet(ms);
  }

  /** Ends every session, tells its client why, and closes the device. */
  async close(): Promise<void> {
    this.#sessions.end(new PynqLlmError('AGENT_CLOSING', 'The agent is shutting down.'));
    this.generations.close();
    await this.device.close();
    await this.store.close();
  }
}

/** Linux tells it through a file: without a descriptor left it is the most that it ever was. */
function residentBytes(onFailure: (error: unknown) => void): number {
  try {
    return process.memoryUsage.rss();
  } catch (error) {
    onFailure(error);
    return process.resourceUsage().maxRSS * 1024;
  }
}
