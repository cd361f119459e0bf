import { PynqLlmError } from '../../errors/index.js';
import {
  CLEAN_ENVIRONMENT,
  type ExecOptions,
  type ExecResult,
  quote,
  type SshConnection,
  type SshPrompts,
  shellCommand,
  shellScript,
} from '../ssh/index.js';

const QUESTION_MS = 20_000;

/**
 * Runs a command with the rights of root: as it is where the login is root's, else through sudo. Where sudo wants a
 * password, that of the login is used, or the user is asked; it goes to sudo's standard input and nowhere else.
 * @throws PynqLlmError SERVICE_NEEDS_SUDO, SSH_...
 */
export async function runAsRoot(
  ssh: SshConnection,
  command: string,
  options: Omit<ExecOptions, 'stdin'> & { readonly prompts?: SshPrompts | undefined },
): Promise<ExecResult> {
  const { prompts, ...exec } = options;
  const { signal } = options;
  const asked = await ssh.exec(shellCommand(shellScript([new URL('./root-access.sh', import.meta.url)])), {
    timeoutMs: QUESTION_MS,
    signal,
  });
  const way = asked.stdout.trim();
  if (way === 'root') return ssh.exec(command, exec);
  if (way === 'sudo') return ssh.exec(`sudo -n ${CLEAN_ENVIRONMENT} sh -c ${quote(command)}`, exec);
  const password = ssh.password ?? (await prompts?.secret(`Password of ${ssh.place} for sudo`));
  if (password === undefined)
    throw new PynqLlmError('SERVICE_NEEDS_SUDO', `${ssh.place} needs a password for sudo: \`${command}\`.`);
  const checked = await ssh.exec("sudo -S -p '' true", {
    stdin: `${password}\n`,
    timeoutMs: QUESTION_MS,
    signal,
  });
  if (checked.status !== 0)
    throw new PynqLlmError(
      'SERVICE_NEEDS_SUDO',
      `sudo on ${ssh.place} refuses: ${checked.stderr.trim().split('\n').at(-1)}.`,
    );
  return ssh.exec(`sudo -S -p '' ${CLEAN_ENVIRONMENT} sh -c ${quote(command)}`, {
    ...exec,
    stdin: `${password}\n`,
  });
}
