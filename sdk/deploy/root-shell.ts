import { PynqLlmError } from '../../errors/index.js';
import {
  CLEAN_ENVIRONMENT,
  type ExecResult,
  type RemoteHost,
  type SshPrompts,
  shellCommand,
} from '../ssh/index.js';

const PASSWORD_TRIES = 3;
const COMMAND_MS = 180_000;

/** How commands get root's rights on a board. */
export type RootAccess =
  | { readonly kind: 'direct' }
  | { readonly kind: 'sudo'; readonly password: string | undefined };

/** Runs shell scripts with root's rights. */
export class RootShell {
  readonly #host: RemoteHost;
  readonly #access: RootAccess;

  constructor(host: RemoteHost, access: RootAccess) {
    this.#host = host;
    this.#access = access;
  }

  /** Runs a script with arguments; any exit status is an answer. @throws PynqLlmError SSH_... */
  try(script: string, words: readonly string[] = [], timeoutMs = COMMAND_MS): Promise<ExecResult> {
    const command = shellCommand(script, words);
    if (this.#access.kind === 'direct') return this.#host.exec(command, { timeoutMs });
    const { password } = this.#access;
    return password === undefined
      ? this.#host.exec(`sudo -n ${CLEAN_ENVIRONMENT} ${command}`, { timeoutMs })
      : this.#host.exec(`sudo -k -S -p '' ${CLEAN_ENVIRONMENT} ${command}`, {
          timeoutMs,
          stdin: `${password}\n`,
        });
  }

  /** Runs a script that has to succeed. @throws PynqLlmError SSH_COMMAND_FAILED, DEPLOY_DISK_FULL, SSH_... */
  async run(
    what: string,
    script: string,
    words: readonly string[] = [],
    timeoutMs?: number,
  ): Promise<string> {
    const result = await this.try(script, words, timeoutMs);
    if (result.status !== 0) throw commandFailed(what, result);
    return result.stdout;
  }
}

/** An error of a command on the board, with the end of what it said. */
export function commandFailed(what: string, { status, stderr }: ExecResult): PynqLlmError {
  const said = stderr.trim().split('\n').slice(-3).join(' ').slice(-500);
  return new PynqLlmError(
    /No space left on device|Disk quota exceeded/.test(stderr) ? 'DEPLOY_DISK_FULL' : 'SSH_COMMAND_FAILED',
    `The board could not ${what}${status === undefined ? '' : ` (status ${status})`}${said === '' ? '' : `: ${said}`}.`,
    { context: { status: status ?? -1 } },
  );
}

/**
 * Finds out how to get root's rights: being root, sudo without a password, or with one.
 * @param known a password to try first: the one of the login
 * @returns undefined where there is no way
 */
export async function findRootAccess(
  host: RemoteHost,
  uid: number,
  known: string | undefined,
  prompts: SshPrompts | undefined,
  question: string,
): Promise<RootAccess | undefined> {
  if (uid === 0) return { kind: 'direct' };
  // -k: what sudo remembers of earlier passwords does not count, as it may be forgotten in the middle.
  const { status, stderr } = await host.exec('LC_ALL=C sudo -k -n true');
  if (status === 0) return { kind: 'sudo', password: undefined };
  if (!/password|terminal|askpass/i.test(stderr)) return undefined;
  for (let tries = 0; tries <= PASSWORD_TRIES; tries++) {
    const password = tries === 0 ? known : await prompts?.secret(question);
    if (password === undefined) {
      if (tries === 0) continue;
      return undefined;
    }
    const attempt = await host.exec("sudo -k -S -p '' true", { stdin: `${password}\n` });
    if (attempt.status === 0) return { kind: 'sudo', password };
  }
  return undefined;
}
