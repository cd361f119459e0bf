import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { PynqLlmError } from '../../errors/index.js';

/** A trace larger than this is a mistake: a token of a 1.1B model writes about 100 MB when weights are staged. */
const MAX_REPLAY_BYTES = 256 * 1024 * 1024;
const FLUSH_BYTES = 1 << 20;

/** The file of the trace that is recorded, or was, and the one of a trace to replay. */
export class TraceFiles {
  readonly #directory: string;
  #recording: number | undefined;
  #pending: string[] = [];
  #pendingLength = 0;

  /** @param directory made when it is first needed */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get isRecording(): boolean {
    return this.#recording !== undefined;
  }

  start(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#recording = openSync(this.#recordedPath, 'w', 0o600);
  }

  /** Takes a line of the trace. */
  add(line: string): void {
    if (this.#recording === undefined) return;
    this.#pending.push(line, '\n');
    this.#pendingLength += line.length + 1;
    if (this.#pendingLength >= FLUSH_BYTES) this.#flush(this.#recording);
  }

  /** @returns the length of the trace in bytes */
  stop(): number {
    if (this.#recording === undefined) throw state('No trace is being recorded.');
    this.#flush(this.#recording);
    const { size } = fstatSync(this.#recording);
    closeSync(this.#recording);
    this.#recording = undefined;
    return size;
  }

  read(offset: number, byteLength: number): Uint8Array {
    if (this.#recording !== undefined) throw state('The trace is still being recorded.');
    return withFile(this.#recordedPath, 'r', (file) => {
      const data = new Uint8Array(byteLength);
      return data.slice(0, readSync(file, data, 0, byteLength, offset));
    });
  }

  write(offset: number, data: Uint8Array): void {
    if (offset + data.length > MAX_REPLAY_BYTES)
      throw state(`A trace of more than ${MAX_REPLAY_BYTES} bytes is not replayed.`);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    withFile(this.#replayPath, offset === 0 ? 'w' : 'r+', (file) => {
      if (fstatSync(file).size !== offset)
        throw state(`A piece at ${offset} does not follow the one before.`);
      writeSync(file, data, 0, data.length, offset);
    });
  }

  /** Lines of the trace to replay. */
  replayLines(): string[] {
    try {
      return readFileSync(this.#replayPath, 'utf8').trimEnd().split('\n');
    } catch (cause) {
      throw state('No trace to replay was sent.', cause);
    }
  }

  /** Removes both files. */
  clear(): void {
    if (this.#recording !== undefined) closeSync(this.#recording);
    this.#recording = undefined;
    rmSync(this.#recordedPath, { force: true });
    rmSync(this.#replayPath, { force: true });
  }

  get #recordedPath(): string {
    return `${this.#directory}/recorded.jsonl`;
  }

  get #replayPath(): string {
    return `${this.#directory}/replay.jsonl`;
  }

  #flush(file: number): void {
    writeSync(file, this.#pending.join(''));
    this.#pending = [];
    this.#pendingLength = 0;
  }
}

function withFile<T>(path: string, flags: 'r' | 'w' | 'r+', use: (file: number) => T): T {
  let file: number;
  try {
    file = openSync(path, flags, 0o600);
  } catch (cause) {
    throw state('There is no such trace.', cause);
  }
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}

function state(what: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('AGENT_TRACE_STATE', what, cause === undefined ? {} : { cause });
}
