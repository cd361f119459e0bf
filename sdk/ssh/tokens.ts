import { homedir, hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';

/** What the tokens of ssh_config(5) stand for, by their letters. */
export type Tokens = Readonly<Record<string, string>>;

/** @param named the host as the user named it @param hostKeyName the name in known_hosts */
export function tokensOf(target: {
  named: string;
  hostName: string;
  port: number;
  user: string;
  hostKeyName: string;
}): Tokens {
  const local = hostname();
  const { username, uid } = userInfo();
  return {
    '%': '%',
    d: homedir(),
    h: target.hostName,
    i: `${uid}`,
    k: target.hostKeyName,
    L: local.replace(/\..*/, ''),
    l: local,
    n: target.named,
    p: `${target.port}`,
    r: target.user,
    u: username,
  };
}

/** Puts in what tokens stand for. @param directive for the error message @throws PynqLlmError SSH_CONFIG_UNSUPPORTED */
export function expandTokens(text: string, tokens: Tokens, directive: string): string {
  return text.replace(/%(.?)/g, (token, letter: string) => {
    const value = tokens[letter];
    if (value !== undefined) return value;
    throw new PynqLlmError(
      'SSH_CONFIG_UNSUPPORTED',
      `The token ${token} in ${directive} cannot be followed.`,
      { context: { directive } },
    );
  });
}

/** A file's name: `~`, `${VARIABLE}` and tokens. @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED */
export function expandPath(path: string, tokens: Tokens, directive: string): string {
  const withVariables = path.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = process.env[name];
    if (value !== undefined) return value;
    throw new PynqLlmError('SSH_CONFIG', `${directive} has \${${name}}, which is not set.`);
  });
  const expanded = expandTokens(withVariables, tokens, directive);
  if (expanded === '~' || expanded.startsWith('~/')) return join(homedir(), expanded.slice(1));
  if (!expanded.startsWith('~')) return expanded;
  throw new PynqLlmError(
    'SSH_CONFIG_UNSUPPORTED',
    `${directive} names ${expanded.split('/')[0]}, the home folder of another user, which cannot be followed.`,
    {
      context: { directive },
    },
  );
}
