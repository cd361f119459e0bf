import { PynqLlmError } from '../../errors/index.js';
import type { HostKeyRules } from './client-config.js';
import {
  fingerprint,
  type KnownHost,
  keyType,
  lookUpHost,
  rememberHost,
  revokedKeys,
} from './known-hosts.js';
import type { SshPrompts } from './prompts.js';

/** Host key algorithms in order of preference (RFC 8332 and 8709); none with SHA-1. */
const ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const;

export type HostKeyAlgorithm = (typeof ALGORITHMS)[number];

export interface HostKeyOptions {
  /** Asks the user about a first key and for secrets; without it none is confirmed. */
  readonly prompts?: SshPrompts | undefined;
  /** `SHA256:…`: the key must have this fingerprint; a first key that has it needs no question. */
  readonly hostKey?: string | undefined;
}

/** Where the connection leads, once it is made. */
export interface Peer {
  /** The other end's address; undefined behind a proxy. */
  readonly address: string | undefined;
}

/** How far a host is trusted: one that is doubtful is shown no password. */
export type Trust = 'trusted' | 'doubtful';

/**
 * Decides about the key of one host as OpenSSH does. A key that known_hosts contradicts is accepted only where the configuration says
 * `StrictHostKeyChecking no`, and then the host is shown no password.
 */
export class HostKeyCheck {
  readonly #rules: HostKeyRules;
  readonly #options: HostKeyOptions;
  readonly #known: KnownHost;
  readonly #revoked: ReadonlySet<string>;
  /** Of the key that the server showed. */
  fingerprint: string | undefined;

  /** @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED */
  constructor(rules: HostKeyRules, options: HostKeyOptions) {
    this.#rules = rules;
    this.#options = options;
    this.#known = this.#lookUp(rules.name);
    this.#revoked = rules.revokedFile === undefined ? new Set() : revokedKeys(rules.revokedFile);
  }

  /**
   * What to ask the server for: types of known keys first, so that a key of another type does not look like a new one.
   * @throws PynqLlmError SSH_CONFIG_UNSUPPORTED where the configuration leaves none
   */
  get algorithms(): HostKeyAlgorithm[] {
    const { algorithms, plainName } = this.#rules;
    const { keys } = this.#known;
    const known = keys.length > 0 || plainName === undefined ? keys : this.#lookUp(plainName).keys;
    const types = new Set(known.map(({ type }) => type));
    const isKnown = (algorithm: string) => types.has(algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
    const wanted = ALGORITHMS.filter((name) => algorithms === undefined || algorithms.includes(name));
    if (wanted.length === 0)
      throw new PynqLlmError(
        'SSH_CONFIG_UNSUPPORTED',
        `HostKeyAlgorithms leaves none of ${ALGORITHMS.join(', ')}.`,
        {
          context: { directive: 'HostKeyAlgorithms' },
        },
      );
    return wanted.toSorted((a, b) => Number(isKnown(b)) - Number(isKnown(a)));
  }

  /** @throws PynqLlmError SSH_HOST_KEY_CHANGED, SSH_HOST_KEY_UNKNOWN, SSH_CONFIG, SSH_CONFIG_UNSUPPORTED */
  async check(key: Uint8Array, { address }: Peer): Promise<Trust> {
    const base64 = Buffer.from(key).toString('base64');
    const shown = fingerprint(key);
    this.fingerprint = shown;
    const { trustsLoopback, checking, name, plainName } = this.#rules;
    const { hostKey } = this.#options;
    if (this.#revoked.has(base64))
      throw this.#changed(shown, `${this.#rules.revokedFile} marks this key as revoked`);
    if (hostKey !== undefined && hostKey !== shown)
      throw this.#changed(shown, `the fingerprint given is ${hostKey}`);
    if (trustsLoopback && isLoopback(address)) return 'trusted';
    const contradiction = contradicts(this.#known, key);
    if (contradiction !== undefined) {
      if (checking !== 'no' || hostKey !== undefined) throw this.#changed(shown, contradiction);
      return 'doubtful';
    }
    const isKnown = (host: KnownHost) => host.keys.some((known) => known.key === base64);
    const withoutPort = plainName === undefined ? undefined : this.#lookUp(plainName);
    const isKnownByPlainName =
      withoutPort !== undefined && isKnown(withoutPort) && contradicts(withoutPort, key) === undefined;
    if (!isKnown(this.#known) && !isKnownByPlainName) await this.#meet(key, shown);
    return this.#checkAddress(key, shown, address, name);
  }

  /** A key that was never seen: whether it is accepted, and written down. */
  async #meet(key: Uint8Array, shown: string): Promise<void> {
    const { checking, name, userFiles, hashNames, notFollowed } = this.#rules;
    const { hostKey, prompts } = this.#options;
    const type = keyType(key);
    const [authority] = this.#known.authorities;
    if (authority !== undefined && hostKey === undefined)
      throw new PynqLlmError(
        'SSH_CONFIG_UNSUPPORTED',
        `${authority} trusts ${name} by a certificate of its authority (@cert-authority), which cannot be checked; its plain ${type} key ${shown} is not known.`,
        { context: { directive: '@cert-authority', host: name, fingerprint: shown } },
      );
    const isConfirmed =
      hostKey !== undefined ||
      checking === 'accept-new' ||
      checking === 'no' ||
      (checking === 'ask' &&
        (await prompts?.confirmHostKey({ host: name, type, fingerprint: shown })) === true);
    if (!isConfirmed) {
      const others =
        notFollowed.length === 0
          ? ''
          : ` ${notFollowed.join(' and ')} of the SSH configuration cannot be followed.`;
      throw new PynqLlmError(
        'SSH_HOST_KEY_UNKNOWN',
        `${name} shows the ${type} key ${shown}, which no known_hosts file has.${others}`,
        { context: { host: name, fingerprint: shown } },
      );
    }
    const [file] = userFiles;
    if (file !== undefined && checking !== 'yes') rememberHost(file, name, key, hashNames);
  }

  /** CheckHostIP: an address whose known key is another one is a sign of a forged name. */
  #checkAddress(key: Uint8Array, shown: string, address: string | undefined, name: string): Trust {
    const { checkAddress, checking, port } = this.#rules;
    if (!checkAddress || address === undefined || isLoopback(address) || name.includes(address))
      return 'trusted';
    const contradiction = contradicts(this.#lookUp(port === 22 ? address : `[${address}]:${port}`), key);
    if (contradiction === undefined || checking === 'no') return 'trusted';
    throw this.#changed(shown, `for its address ${address} ${contradiction}`);
  }

  #lookUp(name: string): KnownHost {
    return lookUpHost([...this.#rules.userFiles, ...this.#rules.globalFiles], name);
  }

  #changed(shown: string, why: string): PynqLlmError {
    const { name } = this.#rules;
    return new PynqLlmError('SSH_HOST_KEY_CHANGED', `${name} shows the host key ${shown}, but ${why}.`, {
      context: { host: name, fingerprint: shown },
    });
  }
}

/** Why a key cannot be the host's: it is revoked, or another one of its type is known. A key of another type alone says nothing. */
function contradicts({ keys, revoked }: KnownHost, key: Uint8Array): string | undefined {
  const base64 = Buffer.from(key).toString('base64');
  if (revoked.has(base64)) return 'known_hosts marks this key as revoked';
  if (keys.some((known) => known.key === base64)) return undefined;
  const sameType = keys.filter(({ type }) => type === keyType(key));
  if (sameType.length === 0) return undefined;
  const expected = sameType.map(
    (known) => `${known.type} ${fingerprint(Buffer.from(known.key, 'base64'))} (${known.place})`,
  );
  return `known_hosts expects ${expected.join(', ')}`;
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:(?:::ffff:)?127\.|::1$)/i.test(address);
}
