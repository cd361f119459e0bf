/** Secrets that the board accepted, for making the connection again. In memory only. */
export interface Secrets {
  /** Of the login. */
  password?: string | undefined;
  /** Of key files, by their paths. */
  readonly passphrases: Map<string, string>;
}
