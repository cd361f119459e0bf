import { createHash, createHmac } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';

/** What known_hosts says of a host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  /** Public keys of the host, base64 of the wire form, with the file and line that has each. */
  readonly keys: readonly KnownKey[];
  readonly revoked: ReadonlySet<string>;
}

export interface KnownKey {
  readonly type: string;
  readonly key: string;
  readonly place: string;
}

/** The name of a host in known_hosts: other ports than 22 are part of it. */
export function knownHostName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

/** `SHA256:…` of a public key, as ssh-keygen and OpenSSH print it. */
export function fingerprint(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type of a public key, from its wire form (RFC 4253, 6.6). */
export function keyType(key: Uint8Array): string {
  const bytes = Buffer.from(key);
  return bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('latin1');
}

/** Looks a host up in all files; one that is not there is empty. @throws PynqLlmError SSH_CONFIG */
export function lookUpHost(files: readonly string[], name: string): KnownHost {
  const keys: KnownKey[] = [];
  const revoked = new Set<string>();
  for (const file of files) {
    for (const [index, line] of readLines(file).entries()) {
      const match = /^\s*(?:(@[\w-]+)\s+)?([^\s#@]\S*)\s+(\S+)\s+([A-Za-z0-9+/]+=*)(?:\s|$)/.exec(line);
      if (match === null) continue;
      const [, marker, hosts, type, key] = match;
      if (!matchesHost(hosts, name)) continue;
      if (marker === '@revoked') revoked.add(key);
      // Keys of certificate authorities sign host keys; they are none.
      else if (marker === undefined) keys.push({ type, key, place: `${file}:${index + 1}` });
    }
  }
  return { keys, revoked };
}

/** Writes down a host's key. @throws PynqLlmError SSH_CONFIG */
export function rememberHost(file: string, name: string, key: Uint8Array): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const separator = before === '' || before.endsWith('\n') ? '' : '\n';
    const line = `${name} ${keyType(key)} ${Buffer.from(key).toString('base64')}\n`;
    appendFileSync(file, separator + line, { mode: 0o600 });
  } catch (cause) {
    throw new PynqLlmError('SSH_CONFIG', `The host key cannot be written to ${file}.`, { cause });
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw new PynqLlmError('SSH_CONFIG', `${file} cannot be read.`, { cause });
  }
}

/** A list of patterns with * and ?, `!` before those that must not match; or one hashed name, `|1|salt|hash`. */
function matchesHost(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts);
  if (hashed !== null) {
    const [, salt, hash] = hashed;
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  let matches = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    const isNegated = pattern.startsWith('!');
    if (!matchesPattern(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    matches = true;
  }
  return matches;
}

function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(name);
}
