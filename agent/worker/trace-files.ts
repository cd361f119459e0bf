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
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';

/**
 * A trace larger than this is a mistake: a token of a 1.1B model writes about 100 MB when weights are staged. Recorded
 * without end it would fill the file system of temporary files, on some boards memory.
 */
const MAX_TRACE_BYTES = 256 * 1024 * 1024;
const FLUSH_BYTES = 1 << 20;

/** The file of the trace that is recorded, or was, and the one of a trace to replay. */
export class TraceFiles {
  readonly #directory: string;
  #recording: number | undefined;
  #recordedBytes = 0;
  /** Why the recording ended before its end. */
  #failure: PynqLlmError | undefined;
  #pending: string[] = [];
  #pendingLength = 0;

  /** @param directory made when it is first needed */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get isRecording(): boolean {
    return this.#recording !== undefined || this.#failure !== undefined;
  }

  /** @throws PynqLlmError AGENT_TRACE_FAILED */
  start(): void {
    this.#recordedBytes = 0;
    this.#recording = inFiles(() => {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      return openSync(this.#recordedPath, 'w', 0o600);
    });
  }

  /** Takes a line of the trace. The device goes on where it cannot be written: `stop` tells why there is no trace. */
  add(line: string): void {
    if (this.#recording === undefined) return;
    this.#pending.push(line, '\n');
    this.#pendingLength += line.length + 1;
    if (this.#pendingLength >= FLUSH_BYTES) this.#flush(this.#recording);
  }

  /** @returns the length of the trace in bytes @throws PynqLlmError AGENT_TRACE_STATE, AGENT_TRACE_FAILED */
  stop(): number {
    if (!this.isRecording) throw state('No trace is being recorded.');
    if (this.#recording !== undefined) this.#flush(this.#recording);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    this.#endRecording();
    return this.#recordedBytes;
  }

  read(offset: number, byteLength: number): Uint8Array {
    if (this.#recording !== undefined) throw state('The trace is still being recorded.');
    return withFile(this.#recordedPath, 'r', (file) => {
      const data = new Uint8Array(byteLength);
      return data.slice(0, readSync(file, data, 0, byteLength, offset));
    });
  }

  write(offset: number, data: Uint8Array): void {
    if (offset + data.length > MAX_TRACE_BYTES)
      throw state(`A trace of more than ${MAX_TRACE_BYTES} bytes is not replayed.`);
    inFiles(() => mkdirSync(this.#directory, { recursive: true, mode: 0o700 }));
    withFile(this.#replayPath, offset === 0 ? 'w' : 'r+', (file) => {
      if (fstatSync(file).size !== offset)
        throw state(`A piece at ${offset} does not follow the one before.`);
      inFiles(() => writeWhole(file, data, offset));
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
    this.#endRecording();
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
    const bytes = Buffer.from(this.#pending.join(''));
    this.#pending = [];
    this.#pendingLength = 0;
    try {
      if (this.#recordedBytes + bytes.length > MAX_TRACE_BYTES)
        throw failed(`The trace has more than ${MAX_TRACE_BYTES} bytes.`);
      inFiles(() => writeWhole(file, bytes, this.#recordedBytes));
      this.#recordedBytes += bytes.length;
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#failure = error;
      this.#endRecording();
      rmSync(this.#recordedPath, { force: true });
    }
  }

  #endRecording(): void {
    if (this.#recording !== undefined) closeSync(this.#recording);
    this.#recording = undefined;
    this.#pending = [];
    this.#pendingLength = 0;
  }
}

/** What a file system takes in part, it takes no more of with the next write, and says why. */
function writeWhole(file: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, offset + at);
}

/** @throws PynqLlmError AGENT_TRACE_FAILED for what the operating system refuses */
function inFiles<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw failed(`The trace could not be written: ${cause.message}.`, cause);
  }
}

function failed(what: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('AGENT_TRACE_FAILED', what, cause === undefined ? {} : { cause });
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
