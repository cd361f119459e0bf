import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify, TomlError } from 'smol-toml';
import { PynqLlmError } from '../../errors/index.js';

/** A board that has a name. */
export interface NamedBoard {
  readonly name: string;
  /** As `--device` takes it. */
  readonly url: string;
  readonly token?: string;
  /** SHA-256 of a `wss://` agent's certificate. */
  readonly tlsFingerprint?: string;
}

const NAME = /^[A-Za-z0-9][\w.-]{0,62}$/;
const FIELDS = ['url', 'token', 'tls-fingerprint'];
const OTHERS_MAY_READ = 0o077;

/** `boards.toml` in $XDG_CONFIG_HOME/pynq-llm, or ~/.config/pynq-llm. */
export function boardsFile(): string {
  // A relative path counts as none (XDG Base Directory Specification).
  const { XDG_CONFIG_HOME: base = '' } = process.env;
  return join(base.startsWith('/') ? base : join(homedir(), '.config'), 'pynq-llm', 'boards.toml');
}

/** The boards of the file, in its order; none where there is no file. @throws PynqLlmError CLI_BOARDS_FILE */
export function readBoards(): readonly NamedBoard[] {
  return boardsOf(readText());
}

/** @throws PynqLlmError CLI_BOARDS_FILE, CLI_BAD_ARGUMENT where the name is taken or is none */
export function addBoard({ name, url, token, tlsFingerprint }: NamedBoard): void {
  if (!NAME.test(name) || name === 'mock')
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      `"${name}" cannot be a board's name: letters, digits and _.-, at most 63, and not "mock".`,
    );
  if (!isUrl(url))
    throw new PynqLlmError('CLI_BAD_ARGUMENT', `"${url}" is no device URL, such as ssh://xilinx@pynq.`);
  const text = readText();
  const before = boardsOf(text);
  if (before.some((board) => board.name === name))
    throw new PynqLlmError('CLI_BAD_ARGUMENT', `${boardsFile()} has a board "${name}" already.`, {
      remedy: `Take it away first: pynq-llm boards remove ${name}`,
    });
  const fields = {
    url,
    ...(token !== undefined && { token }),
    ...(tlsFingerprint !== undefined && { 'tls-fingerprint': tlsFingerprint }),
  };
  const separator = text === '' ? '' : text.endsWith('\n') ? '\n' : '\n\n';
  writeText(`${text}${separator}${stringify({ [name]: fields }).trim()}\n`, token !== undefined);
}

/** @throws PynqLlmError CLI_BOARDS_FILE, CLI_BOARD_UNKNOWN */
export function removeBoard(name: string): void {
  const text = readText();
  const boards = boardsOf(text);
  if (!boards.some((board) => board.name === name)) throw unknownBoard(name, boards);
  // What else is in the file stays as its owner wrote it, comments included.
  const lines = text.split('\n');
  const start = lineOf(text, name) - 1;
  const isSection = /^\s*\[/.test(lines[start]!);
  const rest = lines.slice(start + 1);
  const next = isSection ? rest.findIndex((line) => /^\s*\[/.test(line)) : 0;
  const kept = [...lines.slice(0, start), ...(next < 0 ? [] : rest.slice(next))].join('\n');
  const expected = boards.filter((board) => board.name !== name);
  if (JSON.stringify(boardsOf(kept)) !== JSON.stringify(expected))
    throw bad(`"${name}" is written in a way that only an editor can take away`, start + 1);
  writeText(kept, false);
}

/** What is no name of a board: `mock`, or something with a scheme. */
export function isUrl(text: string): boolean {
  return text === 'mock' || /^[a-z][a-z0-9+]*:/i.test(text);
}

/** @throws PynqLlmError always */
export function unknownBoard(name: string, boards: readonly NamedBoard[]): PynqLlmError {
  const known = boards.length === 0 ? 'has none' : `has ${boards.map((board) => board.name).join(', ')}`;
  // Who writes a user writes what one logs in to.
  const meant = /^[\w.-]+@[\w.-]+$/.test(name) ? `; did you mean ssh://${name}` : '';
  return new PynqLlmError(
    'CLI_BOARD_UNKNOWN',
    `"${name}" is neither a device URL nor the name of a board (${boardsFile()} ${known})${meant}.`,
  );
}

function boardsOf(text: string): NamedBoard[] {
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw bad(cause.message.split('\n')[0]!.replace(/^Invalid TOML document: /, ''), cause.line, cause);
  }
  const boards = Object.entries(table).map(([name, value]) => boardOf(name, value, text));
  const [secret] = boards.filter(({ token }) => token !== undefined);
  if (
    secret !== undefined &&
    process.platform !== 'win32' &&
    (statSync(boardsFile()).mode & OTHERS_MAY_READ) !== 0
  )
    throw bad(`it has a token, and others may read it: chmod 600 ${boardsFile()}`, lineOf(text, secret.name));
  return boards;
}

/** `NAME = "URL"`, or a section [NAME] with url, and token and tls-fingerprint where they are needed. */
function boardOf(name: string, value: unknown, text: string): NamedBoard {
  const line = lineOf(text, name);
  if (!NAME.test(name) || name === 'mock') throw bad(`"${name}" cannot be a board's name`, line);
  const fields: Record<string, unknown> =
    typeof value === 'string'
      ? { url: value }
      : typeof value === 'object' && value !== null
        ? { ...value }
        : {};
  for (const [field, content] of Object.entries(fields)) {
    if (!FIELDS.includes(field))
      throw bad(`"${name}" has a field "${field}"; there are ${FIELDS.join(', ')}`, line);
    if (typeof content !== 'string' || content === '') throw bad(`${field} of "${name}" is no text`, line);
  }
  const { url, token, 'tls-fingerprint': tlsFingerprint } = fields as Record<string, string>;
  if (url === undefined || !isUrl(url)) throw bad(`"${name}" has no url that is a device URL`, line);
  return { name, url, ...(token && { token }), ...(tlsFingerprint && { tlsFingerprint }) };
}

/** Where a board is written, from 1; where that cannot be told, the file's beginning. */
function lineOf(text: string, name: string): number {
  const key = `["']?${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}["']?`;
  const index = text
    .split('\n')
    .findIndex((line) => new RegExp(`^\\s*(?:\\[\\s*${key}\\s*\\]|${key}\\s*=)`).test(line));
  return Math.max(0, index) + 1;
}

function readText(): string {
  try {
    return readFileSync(boardsFile(), 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return '';
    throw bad(`it cannot be read: ${String(cause)}`, undefined, cause);
  }
}

/** All of the new file or all of the old one, with the old one's permissions unless it has a secret now. */
function writeText(text: string, hasSecret: boolean): void {
  const file = boardsFile();
  const temporary = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600 });
    const before = hasSecret ? undefined : modeOf(file);
    if (before !== undefined) chmodSync(temporary, before);
    renameSync(temporary, file);
  } catch (cause) {
    throw bad(`it cannot be written: ${String(cause)}`, undefined, cause);
  }
}

function modeOf(file: string): number | undefined {
  const facts = statSync(file, { throwIfNoEntry: false });
  return facts === undefined ? undefined : facts.mode & 0o777;
}

function bad(why: string, line?: number, cause?: unknown): PynqLlmError {
  const place = line === undefined ? boardsFile() : `${boardsFile()}:${line}`;
  return new PynqLlmError('CLI_BOARDS_FILE', `${place}: ${why}.`, {
    context: { ...(line && { line }) },
    cause,
  });
}
