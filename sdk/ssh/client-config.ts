import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import SSHConfig from 'ssh-config';
import { PynqLlmError } from '../../errors/index.js';
import type { SshTarget } from './target.js';

/** How to reach a board: what the user named, completed by ~/.ssh/config. */
export interface ResolvedTarget {
  /** What to connect to. */
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  /** The name in known_hosts: HostKeyAlias, or the host's name. */
  readonly hostKeyName: string;
  /** Private keys to try, in order. */
  readonly identityFiles: readonly string[];
  /** Socket of the SSH agent. */
  readonly agentSocket: string | undefined;
  /** Files that host keys are looked up in; new ones go into the first. */
  readonly knownHostsFiles: readonly string[];
  /** A host to go through. */
  readonly proxyJump: string | undefined;
}

const DEFAULT_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const GLOBAL_KNOWN_HOSTS = '/etc/ssh/ssh_known_hosts';

/** Completes a target by ~/.ssh/config (ssh_config(5)). @throws PynqLlmError SSH_CONFIG */
export function resolveTarget(target: SshTarget): ResolvedTarget {
  const entry = configOf(target.host);
  const hostName = (one(entry, 'hostname') ?? target.host).replaceAll('%h', target.host);
  const user = target.user ?? one(entry, 'user') ?? userInfo().username;
  const port = target.port ?? Number(one(entry, 'port') ?? 22);
  const expand = (path: string) => expandPath(path, { hostName, user, port });
  const identities = entry.identityfile ?? [];
  const agent = one(entry, 'identityagent') ?? 'SSH_AUTH_SOCK';
  const jump = one(entry, 'proxyjump');
  return {
    hostName,
    port,
    user,
    hostKeyName: (one(entry, 'hostkeyalias') ?? hostName).toLowerCase(),
    identityFiles: (identities.length > 0 ? identities : DEFAULT_KEYS.map((name) => `~/.ssh/${name}`)).map(
      expand,
    ),
    agentSocket:
      agent === 'none' || one(entry, 'identitiesonly') === 'yes'
        ? undefined
        : agent === 'SSH_AUTH_SOCK'
          ? process.env.SSH_AUTH_SOCK
          : expand(agent),
    knownHostsFiles: [
      ...(entry.userknownhostsfile ?? ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']).map(expand),
      ...(entry.globalknownhostsfile ?? [GLOBAL_KNOWN_HOSTS]).map(expand),
    ].filter((path) => path !== 'none'),
    proxyJump: jump === 'none' ? undefined : jump,
  };
}

/** Options of a host by name in lower case. */
type Entry = Readonly<Record<string, readonly string[] | undefined>>;

function one(entry: Entry, name: string): string | undefined {
  return entry[name]?.[0];
}

function configOf(host: string): Entry {
  const path = join(homedir(), '.ssh', 'config');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return {};
    throw new PynqLlmError('SSH_CONFIG', `${path} cannot be read.`, { cause });
  }
  try {
    const options = SSHConfig.parse(text).compute(host, { ignoreCase: true });
    return Object.fromEntries(
      Object.entries(options).map(([key, value]) => {
        const name = key.toLowerCase();
        const values = [value].flat();
        // Only these take several on a line; the parser has taken quotes away from the others.
        return [name, name.endsWith('knownhostsfile') ? values.flatMap(words) : values];
      }),
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('SSH_CONFIG', `${path} cannot be used: ${why}.`, { cause });
  }
}

/** Files that stand on one line; quotes keep a name with blanks together. */
function words(value: string): string[] {
  return [...value.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
}

function expandPath(
  path: string,
  { hostName, user, port }: { hostName: string; user: string; port: number },
) {
  const values: Record<string, string> = {
    '%%': '%',
    '%d': homedir(),
    '%h': hostName,
    '%r': user,
    '%p': `${port}`,
  };
  const expanded = path.replace(/%./g, (name) => values[name] ?? name);
  return expanded.startsWith('~/') ? join(homedir(), expanded.slice(2)) : expanded;
}
