import { join } from 'node:path';
import { type EmbeddedAgent, openEmbedded } from '../../../agent/in-process.js';
import { type AgentHandle, ModelStore, serveHost } from '../../../agent/index.js';
import {
  type Bus,
  type Log as BusLog,
  InProcessBroker,
  type Stored,
  type WaitOptions,
  type WorkQueue,
} from '../../../bus/index.js';
import { GatewayHost, Member, type PipelineMode, type TensorMode } from '../../../fleet/index.js';
import { makeIdentity } from '../../../fleet/links/identity.js';
import { LinkPort } from '../../../fleet/links/link-port.js';
import { type Log, silentLog } from '../../../listen/index.js';
import { systemClock } from '../../../protocol/index.js';
import { temporaryDirectory } from './agent.js';
import { slowRelay } from './slow-relay.js';

/** Nobody dies in most tests, whatever else the machine does. */
const LEASE_MS = 30_000;

export interface TestFleetOptions {
  readonly boards: number;
  readonly device?: string;
  /** Of a board by its name, where they are not all the same. */
  readonly deviceOf?: (name: string) => string;
  /** All share the gateway's store unless told. */
  readonly ownStores?: boolean;
  readonly maxWaitMs?: number;
  readonly leaseMs?: number;
  /** How many boards a model is cut over. */
  readonly pipeline?: PipelineMode;
  readonly hopMs?: number;
  /** How models are cut by rows. */
  readonly tensor?: TensorMode;
  /** Whether boards have links, as where models are cut by rows unless told. */
  readonly links?: boolean;
  /** What bytes take on a link, at least. */
  readonly linkDelayMs?: number;
  readonly log?: Log;
}

/** A board of the fleet: its agent lives on when it is cut off. */
export interface TestBoard {
  readonly member: Member;
  readonly cut: Cut;
  readonly links: LinkPort | undefined;
}

/** A fleet of mocks of this process, whose boards a test can add, cut off and bring back. */
export interface TestFleet extends AsyncDisposable {
  readonly handle: AgentHandle;
  readonly url: string;
  readonly gateway: GatewayHost;
  readonly broker: InProcessBroker;
  readonly boards: ReadonlyMap<string, TestBoard>;
  /** A board joins, or one that was cut off comes back. */
  join(name: string): Promise<TestBoard>;
  /** All that were cut off come back. */
  heal(): Promise<void>;
}

export async function testFleet(options: TestFleetOptions): Promise<TestFleet> {
  const { boards: count, device = 'mock:', ownStores = false, leaseMs = LEASE_MS, maxWaitMs } = options;
  const {
    pipeline,
    hopMs,
    tensor,
    links = tensor !== undefined,
    linkDelayMs,
    deviceOf = () => device,
  } = options;
  const folder = temporaryDirectory();
  const broker = new InProcessBroker();
  const agents = new Map<string, EmbeddedAgent>();
  const boards = new Map<string, TestBoard>();
  const log = options.log ?? silentLog;
  const relays: AsyncDisposable[] = [];
  let gateway: GatewayHost | undefined;
  const handle = await serveHost(
    { listen: '127.0.0.1:0', log },
    async () => {
      const store = await ModelStore.open(folder.path);
      const bus = broker.connect('gateway');
      gateway = await GatewayHost.open({
        bus,
        store,
        clock: systemClock,
        log,
        maxWaitMs,
        leaseMs: LEASE_MS,
        pipeline,
        tensor,
        hopMs,
      });
      return gateway;
    },
    {},
  );
  const joinFleet = async (name: string): Promise<TestBoard> => {
    const storeDir = ownStores ? join(folder.path, 'boards', name) : folder.path;
    const agent = agents.get(name) ?? (await openEmbedded({ device: deviceOf(name), storeDir, threads: 1 }));
    agents.set(name, agent);
    await leave(boards.get(name));
    const cut = new Cut();
    const bus = cut.wrap(broker.connect(name));
    const port = links ? await LinkPort.open(makeIdentity(), 0, '127.0.0.1') : undefined;
    const address = port?.addressAt('127.0.0.1');
    if (address !== undefined && linkDelayMs !== undefined) {
      const relay = await slowRelay(address.port, linkDelayMs);
      relays.push(relay);
      Object.assign(address, { port: relay.port });
    }
    const own = port && address && { port, address };
    const member = await Member.join({ bus, name, agent, log, leaseMs, links: own });
    const board = { member, cut, links: port };
    boards.set(name, board);
    return board;
  };
  const dispose = async () => {
    await Promise.all([...boards.values()].map(leave));
    await handle.close();
    await Promise.all(relays.map((relay) => relay[Symbol.asyncDispose]()));
    await Promise.all([...agents.values()].map((agent) => agent.close()));
    folder[Symbol.dispose]();
  };
  try {
    await Promise.all(Array.from({ length: count }, (_, i) => joinFleet(`mock-${i + 1}`)));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    handle,
    url: handle.url,
    gateway: gateway!,
    broker,
    boards,
    join: joinFleet,
    heal: async () => {
      for (const [name, { cut }] of boards) if (cut.isCut) await joinFleet(name);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** One that is cut off waits for answers that never come. */
async function leave(board: TestBoard | undefined): Promise<void> {
  const closed = board?.member.close();
  await board?.links?.close();
  if (board?.cut.isCut === false) await closed;
}

/** A way to cut a board off its bus: from then on nothing of it is heard, as where its network cable is pulled. */
export class Cut {
  #isCut = false;
  /** What waits to be appended, while it is held. */
  #held: (() => void)[] | undefined;
  #isSilent = false;
  /** Asked before each append of the board to the log, by its subject and id: yes cuts it off before. */
  before: (subject: string, id: string) => boolean = () => false;
  /** What becomes of an append: it may take its time, be refused, say something else, or get lost (undefined) as if it were stored. */
  onAppend: (
    subject: string,
    id: string,
    data: Uint8Array,
  ) => Uint8Array | undefined | Promise<Uint8Array | undefined> = (_subject, _id, data) => data;
  /** Whether what the board publishes to whoever listens gets lost. */
  losesPublished: (subject: string) => boolean = () => false;
  /** What the board's pulls from its queue wait for. */
  pulls: Promise<void> = Promise.resolve();
  /** Milliseconds until the board hears that an acknowledgement has arrived. */
  ackMs = 0;

  now(): void {
    this.#isCut = true;
  }

  /** What it says does not arrive yet, and its lease is not renewed: a link that stalls. */
  hold(): void {
    this.#isSilent = true;
    this.#held = [];
  }

  /** What it said arrives now; its lease is over all the same. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const append of held) append();
  }

  get isCut(): boolean {
    return this.#isCut || this.#isSilent;
  }

  async #append(log: BusLog, ...[subject, id, data, options]: Parameters<BusLog['append']>): Promise<Stored> {
    const changed = this.onAppend(subject, id, data);
    if (changed === data) return log.append(subject, id, data, options);
    const said = await changed;
    if (said === undefined) return { sequence: 0, duplicate: false };
    return log.append(subject, id, said, options);
  }

  #slow(queue: WorkQueue): WorkQueue {
    const pull = async (...args: Parameters<WorkQueue['pull']>) => {
      await this.pulls;
      const delivery = await queue.pull(...args);
      if (delivery === undefined) return undefined;
      const ack = async (options?: WaitOptions) => {
        await delivery.ack(options);
        await new Promise((resolve) => setTimeout(resolve, this.ackMs));
      };
      return new Proxy(bound(delivery), {
        get: (one, name) => (name === 'ack' ? ack : Reflect.get(one, name)),
      });
    };
    return new Proxy(queue, { get: (one, name) => (name === 'pull' ? pull : Reflect.get(one, name)) });
  }

  wrap(bus: Bus): Bus {
    const gone = <T>(): Promise<T> => new Promise(() => {});
    const dead = () => this.#isCut;
    const cut = this;
    return new Proxy(bus, {
      get(target, property) {
        if (property === 'publish')
          return (...args: Parameters<Bus['publish']>) =>
            !dead() && (cut.losesPublished(args[0]) || target.publish(...args));
        if (property === 'subscribe')
          return (...[pattern, handler, more]: Parameters<Bus['subscribe']>) =>
            target.subscribe(pattern, (message) => (dead() ? undefined : handler(message)), more);
        if (property === 'answer')
          return (...[pattern, handler, more]: Parameters<Bus['answer']>) =>
            target.answer(pattern, (message) => (dead() ? gone<Uint8Array>() : handler(message)), more);
        if (property === 'log')
          return (name: string) => {
            const log = target.log(name);
            const append = (...args: Parameters<typeof log.append>) => {
              if (cut.before(args[0], args[1])) cut.now();
              if (dead()) return gone<Stored>();
              if (cut.#held === undefined) return cut.#append(log, ...args);
              return new Promise<Stored>((resolve, reject) => {
                cut.#held?.push(() => void log.append(...args).then(resolve, reject));
              });
            };
            return new Proxy(log, {
              get: (one, name_) => (name_ === 'append' ? append : Reflect.get(bound(one), name_)),
            });
          };
        if (property === 'bucket')
          return (name: string) => muted(bound(target.bucket(name)), () => cut.isCut, gone);
        if (property === 'queue')
          return (name: string) => muted(cut.#slow(bound(target.queue(name))), dead, gone);
        const value = Reflect.get(target, property);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

/** The methods of an object as properties of their own. */
function bound<T extends object>(object: T): T {
  return new Proxy(object, {
    get(target, property) {
      const value = Reflect.get(target, property);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Whose calls are not answered any more once it is dead. */
function muted<T extends object>(object: T, dead: () => boolean, gone: () => Promise<never>): T {
  return new Proxy(object, {
    get(target, property) {
      const value = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (dead()) return gone();
        const result: unknown = value.apply(target, args);
        // What was asked before and is answered later is not heard either.
        return result instanceof Promise ? result.then((one) => (dead() ? gone() : one)) : result;
      };
    },
  });
}
