import { createHash } from 'node:crypto';
import { PynqLlmError } from '../../errors/index.js';

/** What a board is to be given over its serial console. */
export interface ProvisionRequest {
  /** User of the image: `xilinx` on PYNQ's, `ubuntu` on Kria's. */
  readonly user: string;
  /** Sent when the board asks for it; never stored, logged or part of an error. */
  readonly password: string;
  /** One line as in a .pub file. */
  readonly publicKey: string;
  readonly hostName?: string;
  /** An IPv4 address with its prefix, such as `192.168.2.99/24`, beside what DHCP gives. */
  readonly staticAddress?: string;
}

/** What the board says about itself. */
export interface ProvisionResult {
  readonly hostName: string;
  /** `uname -m`: `armv7l`, `aarch64`. */
  readonly machine: string;
  readonly kernel: string;
  /** Addresses by interface, without loopback and link-local ones. */
  readonly addresses: readonly { readonly interface: string; readonly address: string }[];
  /** SSH host keys, read over the cable: what the first connection must show. */
  readonly hostKeys: readonly { readonly type: string; readonly fingerprint: string; readonly key: string }[];
  /** Whether the key was there before. */
  readonly keyWasThere: boolean;
}

const KEY = /^((?:ssh|ecdsa|sk)-[a-z0-9@.-]{3,60}) ([A-Za-z0-9+/]{40,8000}={0,2})(?: ([^\r\n]*))?$/;
/** The board's terminal takes lines of at most 4095 characters; a command goes around the key. */
const MAX_KEY = 3000;

/** A request that can be put into a command line as it is. */
export interface CheckedRequest extends ProvisionRequest {
  /** Type and key with a comment of harmless characters. */
  readonly publicKey: string;
}

/**
 * Checks everything that goes into a shell command on the board.
 * @throws PynqLlmError FIRMWARE_BAD_REQUEST
 */
export function checkRequest(request: ProvisionRequest): CheckedRequest {
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(request.user)) throw bad('The user name cannot be one on Linux');
  if (/[\r\n\0]/.test(request.password)) throw bad('The password has more than one line');
  const [, type, key, comment] = KEY.exec(request.publicKey.trim()) ?? [];
  if (!type || !key || request.publicKey.length > MAX_KEY)
    throw bad(
      'The file is not one SSH public key of at most 3000 characters; a private key must stay where it is',
    );
  if (
    Buffer.from(key, 'base64')
      .subarray(4, 4 + type.length)
      .toString('latin1') !== type
  )
    throw bad('The SSH public key is damaged: its data is not of the type in front of it');
  const { hostName, staticAddress } = request;
  if (hostName !== undefined && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(hostName))
    throw bad('A host name has letters a to z, digits and dashes, at most 63');
  if (staticAddress !== undefined && !isAddress(staticAddress))
    throw bad('A static address is an IPv4 address of a host with its prefix, such as 192.168.2.99/24');
  const harmless = (comment ?? '').replace(/[^\w@.+-]/g, '_').slice(0, 100);
  return { ...request, publicKey: [type, key, harmless].filter(Boolean).join(' ') };
}

/** As `ssh-keygen -l` prints it. */
export function fingerprintOf(key: string): string {
  const digest = createHash('sha256').update(Buffer.from(key, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

function isAddress(text: string): boolean {
  const [, prefix] = /^\d{1,3}(?:\.\d{1,3}){3}\/(\d{1,2})$/.exec(text) ?? [];
  const parts = text.split('/')[0]!.split('.').map(Number);
  const first = parts[0]!;
  const host = first > 0 && first < 224 && first !== 127;
  return prefix !== undefined && +prefix >= 8 && +prefix <= 30 && host && parts.every((part) => part <= 255);
}

function bad(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_BAD_REQUEST', `${why}.`);
}
