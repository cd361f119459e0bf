import { type EventEmitter, once } from 'node:events';
import { createReadStream } from 'node:fs';
import { type Duplex, Readable } from 'node:stream';
import { PynqLlmError } from '../../errors/index.js';
import { quote } from './quote.js';

const COMMAND_MS = 60_000;
const FORWARD_MS = 15_000;
const CLOSE_MS = 2_000;
/** An upload may take long, but never stands still for so long. */
const UPLOAD_STALL_MS = 60_000;
const UPLOAD_CHUNK_BYTES = 256 * 1024;
/** A command that prints more is not one of ours; text beyond would only fill memory. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/** How a command is run. */
export interface ExecOptions {
  /** What it reads; nothing unless given. */
  readonly stdin?: string | Uint8Array | undefined;
  /** Milliseconds; a minute. Infinity for a command that goes on until `signal`. */
  readonly timeoutMs?: number | undefined;
  /** Takes standard output as it comes; it is then not in the result. */
  readonly onStdout?: ((text: string) => void) | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** How a command on the board ended. */
export interface ExecResult {
  /** Exit status; undefined where a signal ended it. */
  readonly status: number | undefined;
  /** What it printed. */
  readonly stdout: string;
  /** What it printed as errors. */
  readonly stderr: string;
}

/** What an upload sends: all of a file or of some bytes, from an offset on. */
export interface UploadSource {
  /** A file here, or its bytes. */
  readonly from: string | Uint8Array;
  /** The first so many bytes are on the board already. */
  readonly offset: number;
}

/** What can be done on a board. Tests put themselves between. */
export interface RemoteHost {
  /** Runs a command with the user's shell. @throws PynqLlmError SSH_CONNECTION_LOST, SSH_TIMEOUT */
  exec(command: string, options?: ExecOptions): Promise<ExecResult>;
  /**
   * Sends bytes to a file: from its beginning, or after what it has.
   * @throws PynqLlmError SSH_COMMAND_FAILED, SSH_CONNECTION_LOST, SSH_TIMEOUT
   */
  upload(source: UploadSource, path: string, onSent?: (bytes: number) => void): Promise<void>;
  /** A stream to a Unix socket, or to a port of the loopback interface. @throws PynqLlmError SSH_FORWARD_FAILED */
  forwardTo(place: string | number): Promise<Duplex>;
}

type Opened = (error: Error | undefined, channel: SshChannel) => void;

/** A command or a stream on the board. */
interface SshChannel extends Duplex {
  readonly stderr: Readable;
}

/** What is used of ssh2's client. Its own types have no place in our declarations: who uses the package has not got them. */
export interface SshClient extends EventEmitter {
  exec(command: string, opened: Opened): unknown;
  openssh_forwardOutStreamLocal(path: string, opened: Opened): unknown;
  forwardOut(fromHost: string, fromPort: number, toHost: string, toPort: number, opened: Opened): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** A login on a board. */
export class SshConnection implements RemoteHost, AsyncDisposable {
  readonly #client: SshClient;
  /** `user@host:port`. */
  readonly place: string;
  /** `SHA256:…` of the host's key. */
  readonly hostKey: string;
  /** The password that the board took, where it took one. */
  readonly password: string | undefined;
  #lost: PynqLlmError | undefined;
  readonly #onLost = new Set<(error: PynqLlmError) => void>();

  constructor(client: SshClient, place: string, hostKey: string, password: string | undefined) {
    this.#client = client;
    this.place = place;
    this.hostKey = hostKey;
    this.password = password;
    client.on('error', (cause: Error) => this.#lose(cause.message, cause));
    client.on('close', () => this.#lose('the board closed it', undefined));
  }

  /** Whether the login lasts. */
  get isOpen(): boolean {
    return this.#lost === undefined;
  }

  exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    const input = options.stdin === undefined ? undefined : Readable.from([options.stdin]);
    return this.#run(command, { ...options, input, stallMs: undefined });
  }

  async upload(
    { from, offset }: UploadSource,
    path: string,
    onSent?: (bytes: number) => void,
  ): Promise<void> {
    const bytes =
      typeof from === 'string'
        ? createReadStream(from, { start: offset, highWaterMark: UPLOAD_CHUNK_BYTES })
        : Readable.from([from.subarray(offset)]);
    const { status, stderr } = await this.#run(`cat ${offset === 0 ? '>' : '>>'} ${quote(path)}`, {
      input: bytes,
      timeoutMs: Number.POSITIVE_INFINITY,
      stallMs: UPLOAD_STALL_MS,
      onSent: (sent) => onSent?.(offset + sent),
    });
    if (status !== 0)
      throw new PynqLlmError(
        'SSH_COMMAND_FAILED',
        `${path} could not be written on ${this.place}: ${stderr.trim()}.`,
        {
          context: { path, status: status ?? -1, stderr },
        },
      );
  }

  forwardTo(place: string | number): Promise<Duplex> {
    return typeof place === 'string'
      ? this.#forward(place, (done) => this.#client.openssh_forwardOutStreamLocal(place, done))
      : this.forwardToHost('127.0.0.1', place);
  }

  /** A stream to a port that the board can reach. @throws PynqLlmError SSH_FORWARD_FAILED */
  forwardToHost(host: string, port: number): Promise<Duplex> {
    return this.#forward(`${host}:${port}`, (done) =>
      this.#client.forwardOut('127.0.0.1', 0, host, port, done),
    );
  }

  /** Ends the login. */
  async close(): Promise<void> {
    if (this.#lost !== undefined) return;
    const closed = once(this.#client, 'close');
    const kill = setTimeout(() => this.#client.destroy(), CLOSE_MS);
    this.#client.end();
    await closed;
    clearTimeout(kill);
  }

  /** Ends the connection without a word, as a pulled cable does. */
  destroy(): void {
    this.#client.destroy();
    this.#lose('it was cut', undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #lose(why: string, cause: unknown): void {
    if (this.#lost !== undefined) return;
    this.#lost = new PynqLlmError('SSH_CONNECTION_LOST', `The connection to ${this.place} broke: ${why}.`, {
      cause,
    });
    for (const tell of this.#onLost) tell(this.#lost);
    this.#onLost.clear();
  }

  #run(command: string, options: RunOptions): Promise<ExecResult> {
    return this.#wait((resolve, reject) => {
      const { timeoutMs = COMMAND_MS, stallMs, signal } = options;
      let channel: SshChannel | undefined;
      const tooLong = (ms: number) => () => {
        channel?.destroy();
        reject(
          new PynqLlmError(
            'SSH_TIMEOUT',
            `${this.place} took more than ${ms / 1000} s for \`${shorten(command)}\`.`,
          ),
        );
      };
      const deadline =
        timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(tooLong(timeoutMs), timeoutMs);
      let stall: NodeJS.Timeout | undefined;
      const moves = () => {
        clearTimeout(stall);
        if (stallMs !== undefined) stall = setTimeout(tooLong(stallMs), stallMs);
      };
      const onAbort = () => {
        channel?.destroy();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      moves();
      this.#client.exec(command, (error, opened) => {
        if (error) return reject(this.#refused(error));
        channel = opened;
        if (signal?.aborted) return onAbort();
        collect(channel, options, moves).then(resolve, reject);
      });
      return () => {
        clearTimeout(deadline);
        clearTimeout(stall);
        signal?.removeEventListener('abort', onAbort);
      };
    });
  }

  #forward(place: string, open: (done: Opened) => void): Promise<Duplex> {
    return this.#wait((resolve, reject) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        reject(
          new PynqLlmError('SSH_TIMEOUT', `${this.place} did not open ${place} within ${FORWARD_MS} ms.`),
        );
      }, FORWARD_MS);
      open((cause, channel) => {
        // Between those who use it, and after them, nobody listens to its errors, one of which would end the process.
        channel?.on('error', () => undefined);
        if (late) channel?.destroy();
        else if (cause)
          reject(
            new PynqLlmError('SSH_FORWARD_FAILED', `${this.place} did not open ${place}: ${cause.message}.`, {
              cause,
            }),
          );
        else resolve(channel);
      });
      return () => clearTimeout(timer);
    });
  }

  /** Runs until it is settled or the connection is lost; then calls what `start` returned. */
  #wait<T>(
    start: (resolve: (value: T) => void, reject: (reason: unknown) => void) => () => void,
  ): Promise<T> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    let tell: (error: PynqLlmError) => void;
    let cleanUp: (() => void) | undefined;
    return new Promise<T>((resolve, reject) => {
      tell = reject;
      this.#onLost.add(reject);
      try {
        cleanUp = start(resolve, reject);
      } catch (error) {
        // ssh2 throws where the connection is just going.
        reject(this.#refused(error instanceof Error ? error : new Error(String(error))));
      }
    }).finally(() => {
      this.#onLost.delete(tell);
      cleanUp?.();
    });
  }

  #refused(cause: Error): PynqLlmError {
    return (
      this.#lost ??
      new PynqLlmError('SSH_CONNECTION_LOST', `${this.place} does not run commands: ${cause.message}.`, {
        cause,
      })
    );
  }
}

interface RunOptions extends Omit<ExecOptions, 'stdin'> {
  readonly input?: Readable | undefined;
  readonly stallMs?: number | undefined;
  readonly onSent?: ((bytes: number) => void) | undefined;
}

/** Feeds a command and takes its output until it ends. */
function collect(channel: SshChannel, options: RunOptions, moves: () => void): Promise<ExecResult> {
  const { input, onStdout, onSent } = options;
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    let sent = 0;
    let status: number | undefined;
    const take = (add: (text: string) => void) => (text: string) => {
      moves();
      add(text);
      if (stdout.length + stderr.length > MAX_OUTPUT_BYTES) channel.destroy();
    };
    channel.setEncoding('utf8');
    channel.stderr.setEncoding('utf8');
    const keep = (text: string) => {
      stdout += text;
    };
    channel.on('data', take(onStdout ?? keep));
    channel.stderr.on(
      'data',
      take((text) => {
        stderr += text;
      }),
    );
    channel.on('exit', (code: number | null) => {
      status = code ?? undefined;
      // A command that ended reads no more.
      input?.destroy();
    });
    channel.on('close', () => {
      input?.destroy();
      resolve({ status, stdout, stderr });
    });
    channel.on('error', reject);
    if (input === undefined) return void channel.end();
    input.on('error', reject);
    input.on('data', (chunk: Uint8Array | string) => {
      sent += chunk.length;
      const count = sent;
      const flows = channel.write(chunk, () => {
        moves();
        onSent?.(count);
      });
      if (!flows) {
        input.pause();
        channel.once('drain', () => input.resume());
      }
    });
    input.on('end', () => channel.end());
  });
}

function shorten(command: string): string {
  const line = command.trim().replace(/\s+/g, ' ');
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
