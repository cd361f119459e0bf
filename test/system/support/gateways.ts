import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type EmbeddedAgent, openEmbedded } from '../../../agent/in-process.js';
import { type AgentHandle, ModelStore, serveHost } from '../../../agent/index.js';
import { type Bus, InProcessBroker } from '../../../bus/index.js';
import { PynqLlmError } from '../../../errors/index.js';
import { GatewayHost, Member } from '../../../fleet/index.js';
import { silentLog } from '../../../listen/index.js';
import { systemClock } from '../../../protocol/index.js';
import { temporaryDirectory } from './agent.js';
import { freePort } from './free-port.js';

/** Boards do not die here, whatever else the machine does. */
const BOARD_LEASE_MS = 30_000;

/** A gateway of a fleet, and its way to the broker. */
export interface TestGateway {
  readonly host: GatewayHost;
  readonly handle: AgentHandle;
  readonly line: Line;
  /** What it was told of terms, releases and so on. */
  readonly said: readonly string[];
}

/** A fleet in this process with as many gateways as a test starts, each at an address that the next one there has again. */
export interface TestGateways extends AsyncDisposable {
  readonly broker: InProcessBroker;
  /** The one that leads at first, at address 0. */
  readonly first: TestGateway;
  /** Both addresses, as clients are given them. */
  readonly url: string;
  /** Starts a gateway at one of two addresses. */
  start(at: 0 | 1, leaseMs?: number): Promise<TestGateway>;
  join(name: string): Promise<Member>;
  /** Digests of the models that the gateways at an address have the files of. */
  stored(at: 0 | 1): Promise<string[]>;
}

/** @param leaseMs of the first gateway */
export async function testGateways(boards: number, leaseMs?: number): Promise<TestGateways> {
  const folder = temporaryDirectory();
  const broker = new InProcessBroker();
  const agents: EmbeddedAgent[] = [];
  const members: Member[] = [];
  const gateways: TestGateway[] = [];
  const ports = [await freePort(), await freePort()];

  const join_ = async (name: string): Promise<Member> => {
    const agent = await openEmbedded({ device: 'mock:', storeDir: join(folder.path, name), threads: 1 });
    agents.push(agent);
    const bus = broker.connect(name);
    const member = await Member.join({ bus, name, agent, log: silentLog, leaseMs: BOARD_LEASE_MS });
    members.push(member);
    return member;
  };
  const start = async (at: 0 | 1, leaseMs = BOARD_LEASE_MS): Promise<TestGateway> => {
    const line = new Line(broker.connect(`gateway ${at}`));
    const said: string[] = [];
    const note = (_facts: unknown, what: string) => void said.push(what);
    const log = { ...silentLog, info: note, warn: note, error: note };
    let host: GatewayHost | undefined;
    const handle = await serveHost(
      { listen: `127.0.0.1:${ports[at]}`, log },
      async () => {
        const store = await ModelStore.open(join(folder.path, `gateway-${at}`));
        const options = { bus: line.bus, store, clock: systemClock, log, leaseMs, name: `gateway-${at}` };
        host = await GatewayHost.open({ ...options, maxWaitMs: 20_000 });
        return host;
      },
      {},
    );
    await host!.tellUrl(handle.url);
    const gateway = { host: host!, handle, line, said };
    gateways.push(gateway);
    return gateway;
  };
  const first = await start(0, leaseMs);
  for (let i = 1; i <= boards; i++) await join_(`mock-${i}`);
  return {
    broker,
    first,
    url: ports.map((port) => `ws://127.0.0.1:${port}`).join(','),
    start,
    join: join_,
    stored: async (at) => {
      const files = await readdir(join(folder.path, `gateway-${at}`, 'models'));
      return files.map((file) => file.replace(/\.gguf$/, ''));
    },
    [Symbol.asyncDispose]: async () => {
      for (const { line } of gateways) line.isAway = false;
      await Promise.all(members.map((member) => member.close()));
      await Promise.all(gateways.map(({ handle }) => handle.close()));
      await Promise.all(agents.map((agent) => agent.close()));
      folder[Symbol.dispose]();
    },
  };
}

/** A gateway's connection, which a test can take away: what is asked meanwhile fails as over a broker that is away. */
export class Line {
  readonly bus: Bus;
  isAway = false;

  constructor(bus: Bus) {
    this.bus = this.#wrap(bus);
  }

  /** Methods of a bus, and of what it opens, fail while it is away; what reads on goes on. */
  #wrap<T extends object>(object: T): T {
    return new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (name === 'log' || name === 'bucket' || name === 'queue')
            return this.#wrap(value.apply(target, args));
          const isNeeded = name !== 'close' && name !== 'read' && name !== 'watch' && name !== 'onConnection';
          if (!this.isAway || !isNeeded) return value.apply(target, args);
          if (name === 'publish') return false;
          return Promise.reject(new PynqLlmError('BUS_UNAVAILABLE', 'The broker is away.'));
        };
      },
    });
  }
}
