import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import SSHConfig, { LineType } from 'ssh-config';
import { PynqLlmError } from '../../errors/index.js';
import { matchesPatterns } from './patterns.js';
import type { SshTarget } from './target.js';

/** What ssh_config(5) says of a host: values by directive in lower case, in order; the first counts where one is wanted. */
export type Settings = ReadonlyMap<string, readonly string[]>;

const SYSTEM_CONFIG = '/etc/ssh/ssh_config';
/** As OpenSSH: an Include that includes itself ends somewhere. */
const MAX_DEPTH = 16;
/** Of these every line counts, not the first alone. */
const COLLECTED = new Set(['identityfile', 'certificatefile']);
/** Their values are lists of words. */
const LISTS = new Set(['userknownhostsfile', 'globalknownhostsfile', 'include']);
/** Commands, quotes included. */
const COMMANDS = new Set(['proxycommand', 'knownhostscommand', 'localcommand', 'remotecommand']);

type Line = SSHConfig[number];

/** The configuration of the system, where there is one. */
export function systemConfig(): string | undefined {
  return process.platform !== 'win32' && existsSync(SYSTEM_CONFIG) ? SYSTEM_CONFIG : undefined;
}

/**
 * Reads the user's and the system's configuration as ssh_config(5) says, for machines without `ssh`: Host, Include, and Match by host,
 * originalhost, user and localuser. What else decides where one connects or whom one trusts is refused by its name.
 * @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED
 */
export function settingsOfFiles(target: SshTarget): Settings {
  const reading = new Reading(target);
  const user = join(homedir(), '.ssh', 'config');
  reading.file(user, dirname(user), true, 0);
  const system = systemConfig();
  if (system !== undefined) reading.file(system, dirname(system), true, 0);
  return reading.settings;
}

class Reading {
  readonly settings = new Map<string, readonly string[]>();
  readonly #target: SshTarget;

  constructor(target: SshTarget) {
    this.#target = target;
  }

  /** @param folder where relative names of Include start @param active whether the section around it applies */
  file(path: string, folder: string, active: boolean, depth: number): void {
    if (depth > MAX_DEPTH) throw new PynqLlmError('SSH_CONFIG', `${path} is included by itself.`);
    for (const line of parse(path)) {
      if (line.type !== LineType.DIRECTIVE) continue;
      if (!('config' in line)) {
        this.#directive(line, path, folder, active, depth);
        continue;
      }
      const applies =
        active && (/^match$/i.test(line.param) ? this.#matches(line, path) : this.#isHost(line));
      for (const inner of line.config)
        if (inner.type === LineType.DIRECTIVE) this.#directive(inner, path, folder, applies, depth);
    }
  }

  #directive(line: Line, path: string, folder: string, active: boolean, depth: number): void {
    if (!active || line.type !== LineType.DIRECTIVE) return;
    const name = line.param.toLowerCase();
    const values = valuesOf(line, name);
    if (name === 'include')
      for (const pattern of values)
        for (const file of filesLike(pattern, folder)) this.file(file, folder, active, depth + 1);
    else if (name === 'canonicalizehostname' && !/^(no|false)$/i.test(values[0] ?? ''))
      throw unsupported('CanonicalizeHostname', path);
    else if (COLLECTED.has(name)) this.settings.set(name, [...(this.settings.get(name) ?? []), ...values]);
    else if (!this.settings.has(name)) this.settings.set(name, values);
  }

  #isHost(line: Line): boolean {
    return matchesPatterns(line.type === LineType.DIRECTIVE ? valuesOf(line, 'host') : [], this.#target.host);
  }

  /** Criteria one after the other: the first that is not met decides, and those behind it are not looked at. */
  #matches(line: Line, path: string): boolean {
    const criteria = 'criteria' in line ? line.criteria : {};
    return Object.entries(criteria).every(([criterion, value]) => {
      const [, negation, name = ''] = /^(!?)(.*)$/.exec(criterion.toLowerCase()) ?? [];
      const text = typeof value === 'string' ? value : value.map(({ val }) => val).join(',');
      const isMet = this.#isMet(name, text.split(','), path);
      return negation === '!' ? !isMet : isMet;
    });
  }

  #isMet(name: string, patterns: readonly string[], path: string): boolean {
    const { host, user } = this.#target;
    const first = (directive: string) => this.settings.get(directive)?.[0];
    switch (name) {
      case 'all':
        return true;
      case 'originalhost':
        return matchesPatterns(patterns, host);
      case 'host':
        return matchesPatterns(patterns, (first('hostname') ?? host).replaceAll('%h', host));
      case 'user':
        return matchesPatterns(patterns, user ?? first('user') ?? userInfo().username);
      case 'localuser':
        return matchesPatterns(patterns, userInfo().username);
      default:
        throw unsupported(`Match ${name}`, path);
    }
  }
}

function unsupported(directive: string, path: string): PynqLlmError {
  return new PynqLlmError(
    'SSH_CONFIG_UNSUPPORTED',
    `${directive} of ${path} cannot be followed without OpenSSH's ssh, which is not installed.`,
    { context: { directive } },
  );
}

function parse(path: string): SSHConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return SSHConfig.parse('');
    throw new PynqLlmError('SSH_CONFIG', `${path} cannot be read.`, { cause });
  }
  try {
    return SSHConfig.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('SSH_CONFIG', `${path} cannot be used: ${why}.`, { cause });
  }
}

function valuesOf(
  { value }: { value: string | readonly { val: string; separator: string; quoted?: boolean }[] },
  name: string,
) {
  if (typeof value !== 'string') {
    if (!COMMANDS.has(name)) return value.map(({ val }) => val);
    const whole = value
      .map(({ val, separator, quoted }) => separator + (quoted === true ? `"${val}"` : val))
      .join('');
    return [whole.trim()];
  }
  if (!LISTS.has(name)) return [value];
  // The parser has taken quotes away from the values of other directives.
  return [...value.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** The files that a pattern of Include names, in the order of their names; `*` and `?` stand for letters of the last part. */
function filesLike(pattern: string, folder: string): string[] {
  const path = pattern.startsWith('~/')
    ? join(homedir(), pattern.slice(2))
    : pattern.startsWith('/')
      ? pattern
      : join(folder, pattern);
  if (!/[*?[]/.test(path)) return [path];
  const parent = dirname(path);
  if (/[*?[]/.test(parent) || path.includes('[')) throw unsupported(`Include ${pattern}`, folder);
  const names = existsSync(parent) ? readdirSync(parent) : [];
  const wanted = path.slice(parent.length + 1);
  return names
    .filter((name) => !name.startsWith('.') && matchesPatterns([wanted], name))
    .toSorted()
    .map((name) => join(parent, name));
}
