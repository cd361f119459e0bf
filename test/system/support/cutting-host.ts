import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  ExecOptions,
  ExecResult,
  RemoteHost,
  SshConnection,
  UploadSource,
} from '../../../sdk/ssh/index.js';

/** So long the board works on what it was asked for before the connection is cut. */
const UNDER_WAY_MS = 40;

/** Which operation is cut, the first being 1; what is asked for again and again until time has passed is one. */
export interface Cut {
  readonly operation: number;
  readonly when: 'before' | 'during';
}

/**
 * A login whose connection is cut at one of its operations: before the board hears of it, or while the board works on
 * it, so that its answer is lost.
 */
export class CuttingHost implements RemoteHost {
  readonly #connection: SshConnection;
  readonly #cut: Cut | undefined;
  /** What was asked for, without what is the same as just before: how often is asked whether an agent runs and listens depends on time. */
  readonly operations: string[] = [];

  constructor(connection: SshConnection, cut: Cut | undefined) {
    this.#connection = connection;
    this.#cut = cut;
  }

  exec(command: string, options?: ExecOptions): Promise<ExecResult> {
    return this.#operation(command, () => this.#connection.exec(command, options));
  }

  upload(source: UploadSource, path: string, onSent?: (bytes: number) => void): Promise<void> {
    return this.#operation(`upload ${path}`, () => this.#connection.upload(source, path, onSent));
  }

  forwardTo(place: string | number): Promise<Duplex> {
    return this.#operation(`forward to ${place}`, () => this.#connection.forwardTo(place));
  }

  async #operation<T>(name: string, run: () => Promise<T>): Promise<T> {
    if (name === this.operations.at(-1)) return run();
    this.operations.push(name);
    if (this.operations.length !== this.#cut?.operation) return run();
    if (this.#cut.when === 'during') {
      const answer = run();
      await Promise.race([answer.catch(() => undefined), delay(UNDER_WAY_MS)]);
      this.#connection.destroy();
      // What was answered so soon is as good as lost with the connection.
      await answer;
      return run();
    }
    this.#connection.destroy();
    return run();
  }
}
