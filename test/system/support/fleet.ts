import { join } from 'node:path';
import { openEmbedded } from '../../../agent/in-process.js';
import { type AgentHandle, ModelStore, serveHost } from '../../../agent/index.js';
import { type Bus, InProcessBroker } from '../../../bus/index.js';
import { Gateway, Member } from '../../../fleet/index.js';
import type { Log } from '../../../listen/index.js';
import { systemClock } from '../../../protocol/index.js';
import { temporaryDirectory } from './agent.js';

/** Long enough for a busy machine's pauses, short enough for tests. */
export const LEASE_MS = 1_000;

/** What comes between a board and its bus. */
export type Wrap = (bus: Bus, board: string) => Bus;

export interface TestFleetOptions {
  readonly boards: number;
  readonly device?: string;
  /** All share the gateway's store unless told. */
  readonly ownStores?: boolean;
  readonly maxWaitMs?: number;
  readonly leaseMs?: number;
  readonly wrap?: Wrap;
  readonly log?: Log;
}

/** A fleet of mocks of this process, whose boards a test can add and take away. */
export interface TestFleet extends AsyncDisposable {
  readonly handle: AgentHandle;
  readonly url: string;
  /** Another board joins. */
  join(name: string): Promise<Member>;
  readonly members: Map<string, Member>;
}

export async function testFleet(options: TestFleetOptions): Promise<TestFleet> {
  const { boards, device = 'mock:', ownStores = false, leaseMs = LEASE_MS, wrap = (bus) => bus } = options;
  const folder = temporaryDirectory();
  const broker = new InProcessBroker();
  const ends: (() => Promise<void>)[] = [];
  const members = new Map<string, Member>();
  const handle = await serveHost(
    { listen: '127.0.0.1:0', log: options.log },
    async (log) => {
      const store = await ModelStore.open(folder.path);
      const { maxWaitMs } = options;
      return Gateway.open({ bus: broker.connect('gateway'), store, clock: systemClock, log, maxWaitMs });
    },
    {},
  );
  const join_ = async (name: string) => {
    const storeDir = ownStores ? join(folder.path, 'boards', name) : folder.path;
    const agent = await openEmbedded({ device, storeDir, threads: 1 });
    ends.push(() => agent.close());
    const bus = wrap(broker.connect(name), name);
    const log = options.log ?? { info() {}, warn() {}, error() {} };
    const member = await Member.join({ bus, name, agent, log, leaseMs });
    members.set(name, member);
    ends.push(() => member.close());
    return member;
  };
  const dispose = async () => {
    for (const end of ends.splice(0).reverse()) await end();
    await handle.close();
    folder[Symbol.dispose]();
  };
  try {
    await Promise.all(Array.from({ length: boards }, (_, i) => join_(`mock-${i + 1}`)));
  } catch (error) {
    await dispose();
    throw error;
  }
  return { handle, url: handle.url, join: join_, members, [Symbol.asyncDispose]: dispose };
}

/** A way to cut a board off its bus: from then on nothing of it is heard, as where its network cable is pulled. */
export class Cut {
  #isCut = false;
  /** Asked before each append of the board to the log. */
  before: (subject: string) => boolean = () => false;

  now(): void {
    this.#isCut = true;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  wrap(bus: Bus): Bus {
    const gone = <T>(): Promise<T> => new Promise(() => {});
    const dead = () => this.#isCut;
    const cut = this;
    return new Proxy(bus, {
      get(target, property) {
        if (property === 'publish')
          return (...args: Parameters<Bus['publish']>) => !dead() && target.publish(...args);
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
              if (cut.before(args[0])) cut.now();
              return dead() ? gone() : log.append(...args);
            };
            return new Proxy(log, {
              get: (one, name_) => (name_ === 'append' ? append : Reflect.get(bound(one), name_)),
            });
          };
        if (property === 'bucket') return (name: string) => muted(bound(target.bucket(name)), dead, gone);
        if (property === 'queue') return (name: string) => muted(bound(target.queue(name)), dead, gone);
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
