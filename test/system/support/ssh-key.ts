import { execFileSync } from 'node:child_process';

/**
 * A new key pair without a passphrase: `file` and `file.pub`, made by OpenSSH. ssh2's own generator leaves out the leading zero bytes
 * of an Ed25519 key, so that one of its keys in 256 is malformed.
 */
export function makeSshKey(file: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
}
