import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { lacking } from './required-packages.js';

const START_MS = 10_000;

/** Why no NATS server can be started here; undefined if one can. */
export const noNatsServer =
  spawnSync('nats-server', ['--version']).status === 0
    ? undefined
    : lacking('nats-server is not installed (apt: nats-server)');

/** A real server on loopback with a store of its own, gone with this process however it ends. */
export class TestNatsServer implements AsyncDisposable {
  readonly port: number;
  readonly folder = mkdtempSync(join(tmpdir(), 'nats-'));
  #process: ChildProcess | undefined;
  #said = '';

  private constructor(port: number) {
    this.port = port;
  }
  /** @param config further lines of its configuration; JetStream is on unless `jetStream` is false */
  static async start(config = '', jetStream = true): Promise<TestNatsServer> {
    const server = new TestNatsServer(await freePort());
    try {
      server.configure(config, jetStream);
      await server.run();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }
  /** Of the process, where one runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }
  get log(): string {
    return this.#said;
  }
  /** Writes the configuration that the next `run` or `reload` reads. */
  configure(config: string, jetStream = true): void {
    const store = `jetstream { store_dir: ${JSON.stringify(join(this.folder, 'store'))} }`;
    const text = `listen: "127.0.0.1:${this.port}"\n${jetStream ? store : ''}\n${config}\n`;
    writeFileSync(join(this.folder, 'nats.conf'), text);
  }
  /** Starts, and waits until it listens. */
  async run(): Promise<void> {
    // Whatever becomes of this process, the server ends with it.
    const command = ['--pdeathsig', 'KILL', 'nats-server', '-c', join(this.folder, 'nats.conf')];
    const server = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = server;
    server.stderr.on('data', (bytes) => {
      this.#said += bytes;
    });
    for (const untilMs = performance.now() + START_MS; !(await this.#listens()); await delay(20)) {
      if (server.exitCode !== null) throw new Error(`nats-server ended: ${this.#said}`);
      if (performance.now() > untilMs) throw new Error(`nats-server does not listen: ${this.#said}`);
    }
  }
  /** Ends it at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    const server = this.#process;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }
  /** Reads its configuration again. */
  reload(): void {
    this.#process!.kill('SIGHUP');
  }
  /** Has it hang, from when this resolves until `resume`. */
  async pause(): Promise<void> {
    this.#process!.kill('SIGSTOP');
    while (!/\) T /.test(readFileSync(`/proc/${this.#process!.pid}/stat`, 'latin1'))) await delay(5);
  }
  resume(): void {
    this.#process!.kill('SIGCONT');
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process?.kill('SIGCONT');
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #listens(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      // It greets once JetStream has read its store.
      socket.once('data', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }
}
