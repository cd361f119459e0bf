import { userInfo } from 'node:os';
import { PynqLlmError } from '../../errors/index.js';
import type { Settings } from './config-files.js';
import { settingsOf } from './settings.js';
import type { SshTarget } from './target.js';
import { expandPath, expandTokens, tokensOf } from './tokens.js';

/** What happens with a host key that known_hosts does not have, or has otherwise (StrictHostKeyChecking of ssh_config(5)). */
export type HostKeyChecking = 'yes' | 'accept-new' | 'ask' | 'no';

/** How to reach a board: what the user named, completed by the SSH configuration. */
export interface ResolvedTarget {
  /** What to connect to. */
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  /** 4 or 6 where AddressFamily leaves only that. */
  readonly family: 4 | 6 | undefined;
  readonly bindAddress: string | undefined;
  /** Milliseconds in which the host has to answer; undefined where nothing is said. */
  readonly connectTimeoutMs: number | undefined;
  /** A command whose standard input and output are the connection. */
  readonly proxyCommand: string | undefined;
  /** Hosts to go through, the first one first; none for a direct connection. */
  readonly proxyJump: readonly string[];
  readonly hostKeys: HostKeyRules;
  readonly login: LoginRules;
}

/** Whom one trusts. */
export interface HostKeyRules {
  /** The name in known_hosts, with the port where it is not 22 and HostKeyAlias does not name the host. */
  readonly name: string;
  /** The name without its port, which counts where no line has the one with it. */
  readonly plainName: string | undefined;
  readonly port: number;
  readonly checking: HostKeyChecking;
  /** Whether the address must not contradict the name. */
  readonly checkAddress: boolean;
  /** Whether a host on this machine needs no key. */
  readonly trustsLoopback: boolean;
  /** The user's files: new keys go into the first. */
  readonly userFiles: readonly string[];
  readonly globalFiles: readonly string[];
  readonly hashNames: boolean;
  /** A file of keys that are never accepted. */
  readonly revokedFile: string | undefined;
  /** Names of the algorithms that are accepted; undefined for the usual ones. */
  readonly algorithms: readonly string[] | undefined;
  /** What may vouch for a host besides known_hosts, and is not followed: named where the key is unknown. */
  readonly notFollowed: readonly string[];
}

/** How one proves who one is. */
export interface LoginRules {
  /** Keys to try, in order: private ones, or public ones whose other half the SSH agent has. */
  readonly identityFiles: readonly string[];
  /** Whether other keys of the agent are not shown. */
  readonly identitiesOnly: boolean;
  /** Socket of the SSH agent. */
  readonly agentSocket: string | undefined;
  readonly usesKeys: boolean;
  readonly usesPassword: boolean;
  /** How often a password is asked for; 0 where nobody is to be asked. */
  readonly passwordTries: number;
  /** Ways to log in that are not followed: named where the login fails. */
  readonly notFollowed: readonly string[];
}

const DEFAULT_KEYS = ['id_rsa', 'id_ecdsa', 'id_ed25519'].map((name) => `~/.ssh/${name}`);
const DEFAULT_KNOWN_HOSTS = ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];
const DEFAULT_GLOBAL = ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2'];
const DEFAULT_PORT = 22;
const PASSWORD_TRIES = 3;

/** Completes a target by the SSH configuration (ssh_config(5)). @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED */
export async function resolveTarget(target: SshTarget): Promise<ResolvedTarget> {
  const settings = await settingsOf(target);
  const one = (name: string) => textOf(settings.get(name)?.[0]);
  refuseWhatCannotBeFollowed(settings);
  const user = target.user ?? one('user') ?? userInfo().username;
  const port = target.port ?? Number(one('port') ?? DEFAULT_PORT);
  const hostName = expandTokens(one('hostname') ?? '%h', { '%': '%', h: target.host }, 'HostName');
  const alias = one('hostkeyalias')?.toLowerCase();
  const tokens = tokensOf({ named: target.host, hostName, port, user, hostKeyName: alias ?? hostName });
  const { '%': percent, h, n, p, r } = tokens;
  const inProxy = { '%': percent, h, n, p, r } as Record<string, string>;
  const command = one('proxycommand');
  const jump = one('proxyjump');
  const family = one('addressfamily');
  const timeout = Number(one('connecttimeout') ?? 0);
  return {
    hostName,
    port,
    user,
    family: family === 'inet' ? 4 : family === 'inet6' ? 6 : undefined,
    bindAddress: one('bindaddress'),
    connectTimeoutMs: timeout > 0 ? timeout * 1000 : undefined,
    proxyCommand: command === undefined ? undefined : expandTokens(command, inProxy, 'ProxyCommand'),
    proxyJump: jump === undefined ? [] : expandTokens(jump, inProxy, 'ProxyJump').split(','),
    hostKeys: hostKeyRules(settings, hostName.toLowerCase(), alias, port, (path, directive) =>
      expandPath(path, tokens, directive),
    ),
    login: loginRules(settings, (path, directive) => expandPath(path, tokens, directive)),
  };
}

type Expand = (path: string, directive: string) => string;

function hostKeyRules(
  settings: Settings,
  hostName: string,
  alias: string | undefined,
  port: number,
  expand: Expand,
): HostKeyRules {
  const one = (name: string) => textOf(settings.get(name)?.[0]);
  const files = (name: string, usual: readonly string[]) =>
    (settings.get(name) ?? usual).filter((path) => path !== 'none').map((path) => expand(path, name));
  const revoked = one('revokedhostkeys');
  const withPort = alias === undefined && port !== DEFAULT_PORT;
  return {
    name: alias ?? (withPort ? `[${hostName}]:${port}` : hostName),
    plainName: withPort ? hostName : undefined,
    port,
    checking: checkingOf(one('stricthostkeychecking')),
    checkAddress: isYes(one('checkhostip')),
    trustsLoopback: isYes(one('nohostauthenticationforlocalhost')),
    userFiles: files('userknownhostsfile', DEFAULT_KNOWN_HOSTS),
    globalFiles: files('globalknownhostsfile', DEFAULT_GLOBAL),
    hashNames: isYes(one('hashknownhosts')),
    revokedFile: revoked === undefined ? undefined : expand(revoked, 'RevokedHostKeys'),
    algorithms: one('hostkeyalgorithms')?.split(','),
    notFollowed: isYes(one('verifyhostkeydns')) ? ['VerifyHostKeyDNS'] : [],
  };
}

function loginRules(settings: Settings, expand: Expand): LoginRules {
  const one = (name: string) => textOf(settings.get(name)?.[0]);
  const preferred = one('preferredauthentications')?.split(',');
  const uses = (method: string, directive: string) =>
    !isNo(one(directive)) && (preferred === undefined || preferred.includes(method));
  const identityFiles = (settings.get('identityfile') ?? DEFAULT_KEYS).filter(
    (path) => path.toLowerCase() !== 'none',
  );
  return {
    identityFiles: identityFiles.map((path) => expand(path, 'IdentityFile')),
    identitiesOnly: isYes(one('identitiesonly')),
    agentSocket: agentSocket(settings.get('identityagent')?.[0] ?? 'SSH_AUTH_SOCK', expand),
    usesKeys: uses('publickey', 'pubkeyauthentication'),
    usesPassword:
      uses('password', 'passwordauthentication') ||
      uses('keyboard-interactive', 'kbdinteractiveauthentication'),
    passwordTries: isYes(one('batchmode')) ? 0 : Number(one('numberofpasswordprompts') ?? PASSWORD_TRIES),
    notFollowed: [
      ...(one('certificatefile') === undefined ? [] : ['CertificateFile']),
      ...(one('pkcs11provider') === undefined ? [] : ['PKCS11Provider']),
    ],
  };
}

/** `none`, the name of a variable, a variable's value, or a path. */
function agentSocket(value: string, expand: Expand): string | undefined {
  if (value === 'none') return undefined;
  const variable = value === 'SSH_AUTH_SOCK' ? value : /^\$(\w+)$/.exec(value)?.[1];
  const path = variable === undefined ? expand(value, 'IdentityAgent') : process.env[variable];
  return path === '' ? undefined : path;
}

/** What would lead elsewhere, or trust somebody else, if it were left out. */
function refuseWhatCannotBeFollowed(settings: Settings): void {
  const refused: readonly [string, string][] = [
    ['knownhostscommand', 'KnownHostsCommand'],
    ['bindinterface', 'BindInterface'],
    ...(isYes(settings.get('proxyusefdpass')?.[0])
      ? [['proxyusefdpass', 'ProxyUseFdpass'] as [string, string]]
      : []),
  ];
  for (const [name, directive] of refused)
    if (textOf(settings.get(name)?.[0]) !== undefined)
      throw new PynqLlmError(
        'SSH_CONFIG_UNSUPPORTED',
        `${directive} of the SSH configuration cannot be followed.`,
        { context: { directive } },
      );
}

function checkingOf(value: string | undefined): HostKeyChecking {
  if (value === undefined) return 'ask';
  if (value === 'accept-new' || value === 'ask') return value;
  if (isYes(value)) return 'yes';
  // `none` has become undefined, and so has nothing to say here.
  if (isNo(value)) return 'no';
  throw new PynqLlmError('SSH_CONFIG', `StrictHostKeyChecking has no value "${value}".`);
}

function textOf(value: string | undefined): string | undefined {
  return value === undefined || value === '' || value.toLowerCase() === 'none' ? undefined : value;
}

function isYes(value: string | undefined): boolean {
  return /^(yes|true|on)$/i.test(value ?? '');
}

function isNo(value: string | undefined): boolean {
  return /^(no|false|off)$/i.test(value ?? '');
}
