import { readFileSync } from 'node:fs';
import type { AnyAuthMethod, AuthenticationType, ParsedKey } from 'ssh2';
import { PynqLlmError } from '../../errors/index.js';
import type { ResolvedTarget } from './client-config.js';
import { loadSsh2 } from './load-ssh2.js';
import type { SshPrompts } from './prompts.js';
import type { Secrets } from './secrets.js';

/** As OpenSSH: so often a password is asked for. */
const PASSWORD_TRIES = 3;

/** Ways to prove who one is, one after the other: SSH agent, key files, password. */
export class Authenticator {
  readonly #target: ResolvedTarget;
  readonly #prompts: SshPrompts | undefined;
  readonly #secrets: Secrets;
  readonly #methods: AsyncGenerator<AnyAuthMethod, void>;
  #offered: readonly string[] | undefined;
  /** The password tried last. */
  password: string | undefined;
  /** What was tried, for the error message. */
  readonly tried: string[] = [];

  constructor(target: ResolvedTarget, prompts: SshPrompts | undefined, secrets: Secrets) {
    this.#target = target;
    this.#prompts = prompts;
    this.#secrets = secrets;
    this.#methods = this.#list();
  }

  /**
   * The next way to try; undefined when there is none left.
   * @param offered what the server lets go on; null before it said
   * @throws PynqLlmError SSH_CONFIG
   */
  async next(offered: readonly AuthenticationType[] | null): Promise<AnyAuthMethod | undefined> {
    if (offered !== null) this.#offered = offered;
    const { value } = await this.#methods.next();
    return value ?? undefined;
  }

  /** The board let us in: what it accepted is kept for the next connection. */
  accepted(): void {
    if (this.password !== undefined) this.#secrets.password = this.password;
  }

  #takes(kind: string): boolean {
    return this.#offered === undefined || this.#offered.includes(kind);
  }

  async *#list(): AsyncGenerator<AnyAuthMethod, void> {
    const username = this.#target.user;
    // The server names what it takes in its answer to this.
    yield { type: 'none', username };
    const { agentSocket, identityFiles } = this.#target;
    if (agentSocket !== undefined && this.#takes('publickey')) {
      this.tried.push('SSH agent');
      yield { type: 'agent', username, agent: agentSocket };
    }
    for (const file of identityFiles) {
      if (!this.#takes('publickey')) break;
      const key = await this.#readKey(file);
      if (key === undefined) continue;
      this.tried.push(file);
      yield { type: 'publickey', username, key };
    }
    const known = this.#secrets.password;
    if (known !== undefined) yield* this.#password(known);
    for (let tries = 0; tries < PASSWORD_TRIES; tries++) {
      if (!this.#takes('password') && !this.#takes('keyboard-interactive')) return;
      const answer = await this.#prompts?.secret(`Password of ${username}@${this.#target.hostName}`);
      if (answer === undefined) return;
      yield* this.#password(answer);
    }
  }

  async *#password(password: string): AsyncGenerator<AnyAuthMethod, void> {
    const username = this.#target.user;
    this.password = password;
    if (!this.tried.includes('password')) this.tried.push('password');
    if (this.#takes('password')) yield { type: 'password', username, password };
    // Servers that check passwords through PAM may offer only this; every question without echo is the password.
    else if (this.#takes('keyboard-interactive'))
      yield {
        type: 'keyboard-interactive',
        username,
        prompt: (_name, _instructions, _language, questions, finish) =>
          finish(questions.map(({ echo }) => (echo === true ? '' : password))),
      };
    // Still here: it was refused.
    this.password = undefined;
  }

  async #readKey(file: string): Promise<ParsedKey | undefined> {
    let text: Buffer;
    try {
      text = readFileSync(file);
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
      throw new PynqLlmError('SSH_CONFIG', `The key ${file} cannot be read.`, { cause });
    }
    let passphrase = this.#secrets.passphrases.get(file);
    for (let tries = 0; tries <= PASSWORD_TRIES; tries++) {
      const parsed = loadSsh2().utils.parseKey(text, passphrase);
      if (!(parsed instanceof Error)) {
        if (passphrase !== undefined) this.#secrets.passphrases.set(file, passphrase);
        return Array.isArray(parsed) ? parsed[0] : parsed;
      }
      if (!/passphrase|decrypt|integrity/i.test(parsed.message))
        throw new PynqLlmError('SSH_CONFIG', `The key ${file} cannot be used: ${parsed.message}.`);
      passphrase = await this.#prompts?.secret(`Passphrase of ${file}`);
      if (passphrase === undefined || passphrase === '') return undefined;
    }
    return undefined;
  }
}
