import { PynqLlmError } from '../../errors/index.js';
import type { ResolvedTarget } from './client-config.js';
import {
  fingerprint,
  type KnownHost,
  keyType,
  knownHostName,
  lookUpHost,
  rememberHost,
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

/** Decides about the key of one host. A key that known_hosts contradicts is never accepted. */
export class HostKeyCheck {
  readonly #target: ResolvedTarget;
  readonly #options: HostKeyOptions;
  readonly #name: string;
  readonly #known: KnownHost;
  /** Of the key that the server showed. */
  fingerprint: string | undefined;

  /** @throws PynqLlmError SSH_CONFIG */
  constructor(target: ResolvedTarget, options: HostKeyOptions) {
    this.#target = target;
    this.#options = options;
    this.#name = knownHostName(target.hostKeyName, target.port);
    this.#known = lookUpHost(target.knownHostsFiles, this.#name);
  }

  /** What to ask the server for: types of known keys first, so that a key of another type does not look like a new one. */
  get algorithms(): HostKeyAlgorithm[] {
    const types = new Set(this.#known.keys.map(({ type }) => type));
    const isKnown = (algorithm: string) => types.has(algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
    return ALGORITHMS.toSorted((a, b) => Number(isKnown(b)) - Number(isKnown(a)));
  }

  /** @throws PynqLlmError SSH_HOST_KEY_CHANGED, SSH_HOST_KEY_UNKNOWN, SSH_CONFIG */
  async check(key: Uint8Array): Promise<void> {
    const base64 = Buffer.from(key).toString('base64');
    const shown = fingerprint(key);
    this.fingerprint = shown;
    const { hostKey, prompts } = this.#options;
    if (this.#known.revoked.has(base64)) throw this.#changed(shown, 'known_hosts marks this key as revoked');
    if (hostKey !== undefined && hostKey !== shown)
      throw this.#changed(shown, `the fingerprint given is ${hostKey}`);
    if (this.#known.keys.some((known) => known.key === base64)) return;
    if (this.#known.keys.length > 0) {
      const expected = this.#known.keys
        .map((known) => `${known.type} ${fingerprint(Buffer.from(known.key, 'base64'))} (${known.place})`)
        .join(', ');
      throw this.#changed(shown, `known_hosts expects ${expected}`);
    }
    const isConfirmed =
      hostKey !== undefined ||
      (await prompts?.confirmHostKey({ host: this.#name, type: keyType(key), fingerprint: shown })) === true;
    if (!isConfirmed)
      throw new PynqLlmError(
        'SSH_HOST_KEY_UNKNOWN',
        `${this.#name} shows the ${keyType(key)} key ${shown}, which no known_hosts file has.`,
        { context: { host: this.#name, fingerprint: shown } },
      );
    const [file] = this.#target.knownHostsFiles;
    if (file !== undefined) rememberHost(file, this.#name, key);
  }

  #changed(shown: string, why: string): PynqLlmError {
    return new PynqLlmError(
      'SSH_HOST_KEY_CHANGED',
      `${this.#name} shows the host key ${shown}, but ${why}.`,
      {
        context: { host: this.#name, fingerprint: shown },
      },
    );
  }
}
