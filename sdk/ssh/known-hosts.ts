import { createHash, createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';
import { matchesPatterns } from './patterns.js';

/** What known_hosts says of a host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  /** Public keys of the host, base64 of the wire form, with the file and line that has each. */
  readonly keys: readonly KnownKey[];
  readonly revoked: ReadonlySet<string>;
  /** Files and lines of the authorities whose certificates would be trusted. */
  readonly authorities: readonly string[];
}

export interface KnownKey {
  readonly type: string;
  readonly key: string;
  readonly place: string;
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
  const authorities: string[] = [];
  for (const file of files) {
    for (const [index, line] of readFile(file).toString('utf8').split('\n').entries()) {
      const match = /^\s*(?:(@[\w-]+)\s+)?([^\s#@]\S*)\s+(\S+)\s+([A-Za-z0-9+/]+=*)(?:\s|$)/.exec(line);
      if (match === null) continue;
      const [, marker, hosts, type, key] = match;
      if (!matchesHost(hosts, name)) continue;
      const place = `${file}:${index + 1}`;
      if (marker === '@revoked') revoked.add(key);
      else if (marker === '@cert-authority') authorities.push(place);
      else if (marker === undefined) keys.push({ type, key, place });
    }
  }
  return { keys, revoked, authorities };
}

/**
 * The keys of a RevokedHostKeys file, base64 of the wire form: one public key a line.
 * @throws PynqLlmError SSH_CONFIG_UNSUPPORTED for a binary revocation list, SSH_CONFIG where it cannot be read: then no key is accepted
 */
export function revokedKeys(file: string): Set<string> {
  if (!existsSync(file))
    throw new PynqLlmError('SSH_CONFIG', `RevokedHostKeys names ${file}, which is not there.`);
  const bytes = readFile(file);
  if (bytes.subarray(0, 6).toString('latin1') === 'SSHKRL')
    throw new PynqLlmError(
      'SSH_CONFIG_UNSUPPORTED',
      `RevokedHostKeys names ${file}, a binary revocation list, which cannot be followed.`,
      {
        context: { directive: 'RevokedHostKeys' },
      },
    );
  const keys = bytes.toString('utf8').matchAll(/^\s*[\w@.-]+\s+([A-Za-z0-9+/]+=*)(?:\s|$)/gm);
  return new Set([...keys].map(([, key]) => key));
}

/** Writes down a host's key. @param hash whether the name is not to be read there @throws PynqLlmError SSH_CONFIG */
export function rememberHost(file: string, name: string, key: Uint8Array, hash: boolean): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const separator = before === '' || before.endsWith('\n') ? '' : '\n';
    const line = `${hash ? hashedName(name) : name} ${keyType(key)} ${Buffer.from(key).toString('base64')}\n`;
    appendFileSync(file, separator + line, { mode: 0o600 });
  } catch (cause) {
    throw new PynqLlmError('SSH_CONFIG', `The host key cannot be written to ${file}.`, { cause });
  }
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return Buffer.alloc(0);
    throw new PynqLlmError('SSH_CONFIG', `${file} cannot be read.`, { cause });
  }
}

/** A list of patterns with * and ?, `!` before those that must not match; or one hashed name, `|1|salt|hash`. */
function matchesHost(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts);
  if (hashed === null) return matchesPatterns(hosts.toLowerCase().split(','), name);
  const [, salt, hash] = hashed;
  return hashOf(name, Buffer.from(salt, 'base64')) === hash;
}

function hashedName(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${hashOf(name, salt)}`;
}

function hashOf(name: string, salt: Uint8Array): string {
  return createHmac('sha1', salt).update(name).digest('base64');
}
