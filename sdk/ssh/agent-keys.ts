import type { IdentityCallback, ParsedKey, SignCallback, SigningRequestOptions } from 'ssh2';
import { loadSsh2 } from './load-ssh2.js';
import { publicKeyOf } from './public-key.js';

// Imported when an SSH agent is asked: the class is built on one of ssh2's.
const { BaseAgent, OpenSSHAgent } = loadSsh2();

/** The keys of an SSH agent that are shown to a host: those of the configuration first, and alone where it says so (IdentitiesOnly). */
export class AgentKeys extends BaseAgent<ParsedKey> {
  readonly #agent: InstanceType<typeof OpenSSHAgent>;
  readonly #wanted: readonly string[];
  readonly #only: boolean;
  /** What the agent had of the wanted keys, once it was asked. */
  readonly found = new Set<string>();

  /** @param wanted public keys, base64 of the wire form, in order @param only whether no others are shown */
  constructor(socket: string, wanted: readonly string[], only: boolean) {
    super();
    this.#agent = new OpenSSHAgent(socket);
    this.#wanted = wanted;
    this.#only = only;
  }

  override getIdentities(done: IdentityCallback<ParsedKey>): void {
    this.#agent.getIdentities((error, entries = []) => {
      // An agent that is gone has no keys; there are other ways to log in.
      if (error) return done(null, []);
      const keys = entries.filter((entry) => 'getPublicSSH' in entry);
      const rank = new Map(keys.map((key) => [key, this.#wanted.indexOf(publicKeyOf(key))]));
      const place = (key: ParsedKey) => rank.get(key) ?? -1;
      const named = keys.filter((key) => place(key) >= 0).toSorted((a, b) => place(a) - place(b));
      for (const key of named) this.found.add(publicKeyOf(key));
      done(null, this.#only ? named : [...named, ...keys.filter((key) => place(key) < 0)]);
    });
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    done?: SignCallback,
  ): void {
    if (typeof options === 'function') this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, done);
  }
}
