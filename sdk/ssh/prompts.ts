/** A host key that was never seen before. */
export interface HostKeyQuestion {
  /** Whose key it is. */
  readonly host: string;
  /** Algorithm of the key, such as `ssh-ed25519`. */
  readonly type: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

/** Asks the user. Without it nothing is confirmed and no secret is known. */
export interface SshPrompts {
  /** Shows a first key; true if the user confirms it. */
  confirmHostKey(question: HostKeyQuestion): Promise<boolean>;
  /** A password or passphrase, typed without echo; undefined if the user gives none. Never stored in a file. */
  secret(question: string): Promise<string | undefined>;
}
