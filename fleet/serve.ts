import { hostname } from 'node:os';
import {
  type AgentHandle,
  defaultStoreDir,
  type ListenOptions,
  ModelStore,
  nodeFs,
  serveHost,
} from '../agent/index.js';
import type { Bus } from '../bus/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { Log } from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import { Gateway } from './gateway/gateway.js';
import type { MemberAgent } from './member/agent-link.js';
import { Member } from './member/member.js';

/** A fleet that cannot be joined now is tried again after so long. */
const AGAIN_MS = 2_000;

/** Connects to the fleet's broker. @throws PynqLlmError BUS_... */
export type ConnectBus = () => Promise<Bus>;

export interface ServeFleetOptions extends ListenOptions {
  readonly bus: ConnectBus;
  /** The gateway's store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
}

/** Starts the gateway of a fleet, whose boards come over the bus. @throws PynqLlmError as serveHost, BUS_..., AGENT_STORE_FAILED */
export function serveFleet(options: ServeFleetOptions): Promise<AgentHandle> {
  const open = async (log: Log) => {
    const bus = await options.bus();
    try {
      const store = await ModelStore.open(options.storeDir ?? defaultStoreDir(), nodeFs, log);
      const gateway = await Gateway.open({ bus, store, clock: systemClock, log });
      return {
        uploadBodies: gateway.uploadBodies,
        openSession: (...client: Parameters<Gateway['openSession']>) => gateway.openSession(...client),
        drain: (ms: number) => gateway.drain(ms),
        close: async () => {
          await gateway.close();
          await bus.close();
        },
      };
    } catch (error) {
      await bus.close();
      throw error;
    }
  };
  return serveHost(options, open, { fleet: true });
}

export interface JoinOptions {
  readonly bus: ConnectBus;
  readonly agent: MemberAgent;
  readonly log: Log;
  /** Of the board in its fleet: see boardName. */
  readonly name: string;
}

/**
 * Makes an agent a member of a fleet, as soon as broker and device are there, and for as long as it runs. Disposing lets no
 * more requests in; those that the board has go on until the agent ends.
 */
export function joinFleet({ bus, agent, log, name }: JoinOptions): Disposable {
  const leaving = new AbortController();
  void stay();
  return { [Symbol.dispose]: () => leaving.abort() };

  async function stay(): Promise<void> {
    while (!leaving.signal.aborted) {
      let line: Bus | undefined;
      try {
        line = await bus();
        const member = await Member.join({ bus: line, name, agent, log });
        log.info({ board: name, bus: line.name }, 'joined the fleet');
        leaving.signal.addEventListener('abort', () => void member.drain(0), { once: true });
        if (leaving.signal.aborted) await member.drain(0);
        await member.lost;
        await member.close();
      } catch (err) {
        if (err instanceof PynqLlmError) log.warn({ err }, 'the fleet cannot be joined now');
        else log.error({ err }, 'unexpected error while a fleet was joined');
      }
      await line?.close().catch(() => undefined);
      await new Promise<void>((resolve) => systemClock.after(AGAIN_MS, resolve));
    }
  }
}

/** A board's name in its fleet. @param name the machine's unless given @throws PynqLlmError FLEET_BOARD_NAME */
export function boardName(name: string | undefined): string {
  const machine = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  const chosen = name ?? (machine === '' ? 'board' : machine);
  Member.requireName(chosen);
  return chosen;
}
