import type { ParsedKey } from 'ssh2';

/** Base64 of the wire form. */
export function publicKeyOf(key: ParsedKey): string {
  return key.getPublicSSH().toString('base64');
}
