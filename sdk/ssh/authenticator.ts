import { readFileSync } from 'node:fs';
import type { AnyAuthMethod, AuthenticationType, ParsedKey } from 'ssh2';
import { PynqLlmError } from '../../errors/index.js';
import type { LoginRules } from './client-config.js';
import { loadSsh2 } from './load-ssh2.js';
import type { SshPrompts } from './prompts.js';
import { publicKeyOf } from './public-key.js';
import type { Secrets } from './secrets.js';

/** As OpenSSH: so often a passphrase is asked for. */
const PASSPHRASE_TRIES = 3;

/** Who logs in where. */
export interface Who {
  readonly user: string;
  readonly hostName: string;
}

/** Ways to prove who one is, one after the other: SSH agent, key files, password. */
export class Authenticator {
  readonly #who: Who;
  readonly #rules: LoginRules;
  readonly #prompts: SshPrompts | undefined;
  readonly #secrets: Secrets;
  readonly #methods: AsyncGenerator<AnyAuthMethod, void>;
  #offered: readonly string[] | undefined;
  /** The password tried last. */
  password: string | undefined;
  /** What was tried, for the error message. */
  readonly tried: string[] = [];
  /** Whether the host may be another one: then it is shown no password. */
  isDoubtful = false;

  constructor(who: Who, rules: LoginRules, prompts: SshPrompts | undefined, secrets: Secrets) {
    this.#who = who;
    this.#rules = rules;
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
    const username = this.#who.user;
    // The server names what it takes in its answer to this.
    yield { type: 'none', username };
    if (this.#rules.usesKeys) yield* this.#keys(username);
    if (!this.#rules.usesPassword || this.isDoubtful) return;
    const known = this.#secrets.password;
    if (known !== undefined) yield* this.#password(known);
    for (let tries = 0; tries < this.#rules.passwordTries; tries++) {
      if (!this.#takes('password') && !this.#takes('keyboard-interactive')) return;
      const answer = await this.#prompts?.secret(`Password of ${username}@${this.#who.hostName}`);
      if (answer === undefined) return;
      yield* this.#password(answer);
    }
  }

  /** Those that the SSH agent has, then those in files. */
  async *#keys(username: string): AsyncGenerator<AnyAuthMethod, void> {
    const { agentSocket, identityFiles, identitiesOnly } = this.#rules;
    const publicKeys = new Map(identityFiles.map((file) => [file, readPublicKey(file)]));
    const inAgent = new Set<string>();
    if (agentSocket !== undefined && this.#takes('publickey')) {
      const wanted = [...publicKeys.values()].filter((key) => key !== undefined);
      const { AgentKeys } = await import('./agent-keys.js');
      const agent = new AgentKeys(agentSocket, wanted, identitiesOnly);
      this.tried.push(identitiesOnly ? 'keys of the SSH agent that the configuration names' : 'SSH agent');
      yield { type: 'agent', username, agent };
      for (const key of agent.found) inAgent.add(key);
    }
    for (const file of identityFiles) {
      if (!this.#takes('publickey')) return;
      if (inAgent.has(publicKeys.get(file) ?? '')) continue;
      const key = await this.#readKey(file);
      if (key === undefined) continue;
      this.tried.push(file);
      yield { type: 'publickey', username, key };
    }
  }

  async *#password(password: string): AsyncGenerator<AnyAuthMethod, void> {
    const username = this.#who.user;
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
    for (let tries = 0; tries <= PASSPHRASE_TRIES; tries++) {
      const parsed = loadSsh2().utils.parseKey(text, passphrase);
      if (!(parsed instanceof Error)) {
        if (passphrase !== undefined) this.#secrets.passphrases.set(file, passphrase);
        const key = Array.isArray(parsed) ? parsed[0] : parsed;
        // A public key names one that the SSH agent has.
        return key?.isPrivateKey() === true ? key : undefined;
      }
      if (!/passphrase|decrypt|integrity/i.test(parsed.message))
        throw new PynqLlmError('SSH_CONFIG', `The key ${file} cannot be used: ${parsed.message}.`);
      passphrase = await this.#prompts?.secret(`Passphrase of ${file}`);
      if (passphrase === undefined || passphrase === '') return undefined;
    }
    return undefined;
  }
}

/** The public half of a key file: `FILE.pub`, or FILE where that is public itself. Base64 of the wire form. */
function readPublicKey(file: string): string | undefined {
  for (const path of [`${file}.pub`, file]) {
    let text: Buffer;
    try {
      text = readFileSync(path);
    } catch {
      // Its private half says what is wrong with it.
      continue;
    }
    const parsed = loadSsh2().utils.parseKey(text);
    const key = parsed instanceof Error ? undefined : Array.isArray(parsed) ? parsed[0] : parsed;
    if (key !== undefined) return publicKeyOf(key);
  }
  return undefined;
}
