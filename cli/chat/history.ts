import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Lines that are kept. */
const MAX_LINES = 1_000;
/** What people type into chats is private. */
const PRIVATE = 0o600;

/** The lines typed before, over all sessions, in a file of the user's state folder that nobody else can read. */
export class History {
  readonly #path: string;
  /** The latest first, as node:readline wants them. */
  readonly #lines: string[];

  constructor(path = defaultPath()) {
    this.#path = path;
    this.#lines = readLines(path);
  }

  get lines(): string[] {
    return [...this.#lines];
  }

  /** Notes a line, unless it is the one before again or begins with a space. */
  add(line: string): void {
    if (line.startsWith(' ') || line.includes('\n') || line === this.#lines[0]) return;
    this.#lines.unshift(line);
    this.#lines.splice(MAX_LINES);
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      writeFileSync(this.#path, `${this.#lines.toReversed().join('\n')}\n`, { mode: PRIVATE });
      // A file that was there already keeps its mode otherwise.
      chmodSync(this.#path, PRIVATE);
    } catch {
      // A chat works without its history: a home folder may be read-only.
    }
  }
}

function defaultPath(): string {
  const { XDG_STATE_HOME: state } = process.env;
  return join(state || join(homedir(), '.local', 'state'), 'pynq-llm', 'chat-history');
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean).toReversed().slice(0, MAX_LINES);
  } catch {
    return [];
  }
}
