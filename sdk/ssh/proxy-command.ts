import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Duplex, type Readable, type Writable } from 'node:stream';

const STDERR_CHARACTERS = 2_000;
/** After it was told to end it has this long. */
const END_MS = 2_000;
const LAST_WORDS_MS = 500;
/** From the end of what is sent to the signal: the board is to hear the farewell. */
const PARTING_MS = 200;

/** The command of ProxyCommand: its standard input and output are the connection, and it ends with it. */
export class ProxyCommand {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly stream: Duplex;
  readonly #closed: Promise<void>;
  #stderr = '';
  #ended: string | undefined;
  #closing = false;

  constructor(command: string) {
    // As OpenSSH: the user's shell becomes the command, which then gets the signal that ends it.
    this.#child =
      process.platform === 'win32'
        ? spawn(command, { shell: true, stdio: 'pipe' })
        : spawn(process.env.SHELL || '/bin/sh', ['-c', `exec ${command}`], { stdio: 'pipe' });
    const { stdin, stdout, stderr } = this.#child;
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS);
    });
    this.#closed = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.on('error', (error) => {
      this.#ended = error.message;
    });
    this.#child.on('exit', (status, signal) => {
      if (signal === null) this.#ended = `it ended with status ${status}`;
      else if (!this.#closing) this.#ended = `${signal} ended it`;
    });
    this.stream = this.#duplex(stdin, stdout);
    // Whoever uses the stream hears of it by its end; between uses an error must not end the process.
    this.stream.on('error', () => {});
  }

  #duplex(stdin: Writable, stdout: Readable): Duplex {
    const stream = new Duplex({
      read: () => void stdout.resume(),
      write: (bytes, _encoding, done) => stdin.write(bytes, done),
      // Who writes no more has ended the connection. A command that does not notice by itself is told soon.
      final: (done) => {
        setTimeout(() => void this.close(), PARTING_MS).unref();
        stdin.end(done);
      },
      destroy: (error, done) => {
        stdin.destroy();
        stdout.destroy();
        done(error);
      },
    });
    stdin.on('error', (error) => stream.destroy(error));
    stdout.on('error', (error) => stream.destroy(error));
    stdout.on('data', (bytes: Buffer) => {
      if (!stream.push(bytes)) stdout.pause();
    });
    stdout.on('end', () => stream.push(null));
    return stream;
  }

  /** What it said, for an error message; empty where it said nothing and ran to the end. */
  get report(): string {
    const said = this.#stderr.trim().replace(/\s*\n\s*/g, '; ');
    const parts = [this.#ended, said === '' ? undefined : `it says: ${said}`].filter(
      (part) => part !== undefined,
    );
    return parts.length === 0 ? '' : `ProxyCommand: ${parts.join('; ')}`;
  }

  /** Ends it, and waits for its last words. */
  async close(): Promise<void> {
    this.#closing = true;
    this.stream.destroy();
    const isGone = () =>
      this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
    if (!isGone()) this.#child.kill('SIGHUP');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    // Children of its own may hold its output open for longer.
    const late = new Promise<void>((resolve) => setTimeout(resolve, END_MS + LAST_WORDS_MS).unref());
    await Promise.race([this.#closed, late]);
    clearTimeout(kill);
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }
}
