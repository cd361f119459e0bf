import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type BoardClient, connect } from '../../../sdk/index.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { type AgentProcess, cliServer } from '../../system/support/cli.js';
import { TestNatsServer } from '../../system/support/nats-server.js';

export type Status = Awaited<ReturnType<BoardClient['fleetStatus']>>;

/** Whatever becomes of this process, those of its fleet end with it. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL'];
const LOOK_MS = 10;
/** Of those that come back, so many start at a time: more would take what those that live need for their leases. */
const MOST_STARTING = 2;
/** Many processes may start at a time on a small machine. */
const JOIN_MS = 100_000;

export interface ProcessFleetOptions {
  /** Boards by their names. */
  readonly names: readonly string[];
  readonly leaseMs?: number;
  readonly device?: string;
  /** Put into the environment of the gateway, and of every board. */
  readonly env?: Readonly<Record<string, string>>;
  /** The start of the command lines of the gateway and of every board. */
  readonly within?: readonly string[];
  readonly logLevel?: string;
  /** Further flags of the gateway, and of a board. */
  readonly gatewayFlags?: readonly string[];
  readonly flagsOf?: (board: string) => readonly string[];
}

/** A fleet of processes: nats-server, a gateway, and boards that are mocks and can be killed. */
export class ProcessFleet implements AsyncDisposable {
  readonly broker: TestNatsServer;
  readonly #options: ProcessFleetOptions;
  readonly #home = temporaryDirectory();
  readonly #boards = new Map<string, AgentProcess>();
  /** Boards that come back, in the order in which they were killed. */
  readonly #waiting: string[] = [];
  readonly #starting = new Set<Promise<void>>();
  #isEnding = false;
  #gateway: AgentProcess | undefined;
  #client: BoardClient | undefined;

  private constructor(broker: TestNatsServer, options: ProcessFleetOptions) {
    this.broker = broker;
    this.#options = options;
  }

  /** Starts it, and waits until all boards have joined. */
  static async start(options: ProcessFleetOptions): Promise<ProcessFleet> {
    const fleet = new ProcessFleet(await TestNatsServer.start(), options);
    try {
      await fleet.#start();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return this.gateway.url;
  }

  get gateway(): AgentProcess {
    if (this.#gateway === undefined) throw new Error('the fleet has no gateway yet');
    return this.#gateway;
  }

  /** A client of the gateway. */
  get client(): BoardClient {
    if (this.#client === undefined) throw new Error('the fleet has no gateway yet');
    return this.#client;
  }

  /** Of a board that runs. */
  board(name: string): AgentProcess {
    const board = this.#boards.get(name);
    if (board === undefined) throw new Error(`board ${name} does not run`);
    return board;
  }

  /** What the gateway, or a board, stores things in. */
  homeOf(name: string): string {
    return `${this.#home.path}/${name}`;
  }

  get running(): readonly string[] {
    return [...this.#boards.keys()];
  }

  /** Ends a board at once, in the middle of whatever it does; resolves when it is gone. */
  async kill(name: string): Promise<void> {
    const { child } = this.board(name);
    this.#boards.delete(name);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /**
   * Starts a board, with the store of the one of this name that was there before; resolves when it listens.
   * @param url the broker's, or of what is on the way there
   */
  async run(name: string, url = this.broker.url): Promise<void> {
    this.#boards.set(name, await this.#board(name, url));
  }

  /** Another board of a name that there is, which takes its place among those that end with the fleet. */
  async replace(name: string): Promise<{ readonly before: AgentProcess; readonly now: AgentProcess }> {
    const before = this.board(name);
    const now = await this.#board(name, this.broker.url);
    this.#boards.set(name, now);
    return { before, now };
  }

  #board(name: string, url: string): Promise<AgentProcess> {
    const { leaseMs = 3_000, device = 'mock:', within = [], env = {}, logLevel = 'warn' } = this.#options;
    const { flagsOf = () => [] } = this.#options;
    const args = [
      ...['agent', '--device', device, '--listen', 'ws://127.0.0.1:0', '--log-level', logLevel],
      ...['--threads', '1', '--no-http', '--fleet', url, '--fleet-name', name],
      ...['--fleet-lease', String(leaseMs), ...flagsOf(name)],
    ];
    return cliServer(args, { home: this.homeOf(name), env, within: [...WITH_US, ...within] });
  }

  /** Has a killed board come back, sometime. */
  bringBack(name: string): void {
    this.#waiting.push(name);
    this.#startNext();
  }

  #startNext(): void {
    if (this.#isEnding || this.#starting.size >= MOST_STARTING) return;
    const name = this.#waiting.shift();
    if (name === undefined) return;
    const started = this.run(name).finally(() => {
      this.#starting.delete(started);
      this.#startNext();
    });
    this.#starting.add(started);
    // Whoever waits for it to be there is told of its absence.
    started.catch(() => {});
  }

  /** Has boards stand still, from when this resolves. */
  async pause(names: readonly string[]): Promise<void> {
    const children = names.map((name) => this.board(name).child);
    for (const child of children) child.kill('SIGSTOP');
    for (const { pid } of children)
      while (!/\) T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) await delay(1);
  }

  resume(names: readonly string[]): void {
    for (const name of names) this.#boards.get(name)?.child.kill('SIGCONT');
  }

  status(): Promise<Status> {
    return this.client.fleetStatus();
  }

  /** Looks again and again until there is something. @throws Error with what was seen last */
  async until<T>(look: (status: Status) => T | undefined, what: string, ms = JOIN_MS): Promise<T> {
    for (const end = performance.now() + ms; ; await delay(LOOK_MS)) {
      const status = await this.status();
      const found = look(status);
      if (found !== undefined) return found;
      if (performance.now() > end)
        throw new Error(`within ${ms} ms there was not ${what}: ${JSON.stringify(status)}\n${this.log}`);
    }
  }

  /** Waits until so many boards have all of these models. @returns their names */
  async ready(count: number, models: readonly string[]): Promise<readonly string[]> {
    return this.until(({ boards }) => {
      const able = boards.filter(
        ({ state, models: has }) =>
          state === 'ready' &&
          models.every((digest) => has.some((one) => one.model === digest && one.state === 'loaded')),
      );
      return able.length >= count ? able.map(({ name }) => name) : undefined;
    }, `${count} boards with ${models.length} models`);
  }

  /** Names of the boards that have a request in hand. */
  async holders(): Promise<readonly string[]> {
    return (await this.status()).boards.filter(({ inHand }) => inHand > 0).map(({ name }) => name);
  }

  /** What gateway and boards said, for who looks for a reason. */
  get log(): string {
    const boards = [...this.#boards].map(([name, { log }]) => `${name}: ${log()}`);
    return [`gateway: ${this.#gateway?.log() ?? ''}`, ...boards].join('\n').slice(-20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(this.#starting);
    await this.#client?.close();
    await Promise.all([...this.#boards.keys()].map((name) => this.kill(name)));
    await this.#gateway?.[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
    this.#home[Symbol.dispose]();
  }

  async #start(): Promise<void> {
    const { names, within = [], env = {}, logLevel = 'warn', gatewayFlags = [] } = this.#options;
    const args = ['fleet', 'serve', '--bus', this.broker.url, '--port', '0', '--log-level', logLevel];
    const home = this.homeOf('gateway');
    this.#gateway = await cliServer([...args, ...gatewayFlags], {
      home,
      env,
      within: [...WITH_US, ...within],
    });
    this.#client = await Promise.all(names.map((name) => this.run(name))).then(() => connect(this.url));
    // Not all at the same time: with a short lease one may seem lost meanwhile.
    const seen = new Set<string>();
    await this.until(
      ({ boards }) => {
        for (const { name } of boards) seen.add(name);
        return names.every((name) => seen.has(name)) || undefined;
      },
      `boards ${names.join(', ')}`,
    );
  }
}
