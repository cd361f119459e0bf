import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';
import { type Settings, settingsOfFiles, systemConfig } from './config-files.js';
import type { SshTarget } from './target.js';

/** `Match exec` and a host name's canonical form may take a while. */
const ANSWER_MS = 20_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Users of a domain may have names with backslashes and quotes; such logins work all the same. */
const REFUSED_USER = /username contains invalid characters/;

/**
 * What the SSH configuration says of a target: OpenSSH's own answer where `ssh` gives one, else our reading of the same files.
 * @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED
 */
export async function settingsOf(target: SshTarget): Promise<Settings> {
  return (await askSsh(target)) ?? settingsOfFiles(target);
}

/** The answer of `ssh -G`; undefined where there is no `ssh`, or where it takes no user of that name on its command line. */
async function askSsh(target: SshTarget): Promise<Settings | undefined> {
  const config = configElsewhere();
  if (config === undefined) return run(target, []);
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-ssh-'));
  try {
    const file = join(folder, 'config');
    writeFileSync(file, config, { mode: 0o600 });
    return await run(target, ['-F', file]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run({ host, user, port }: SshTarget, options: readonly string[]): Promise<Settings | undefined> {
  const login = user === undefined ? [] : ['-l', user];
  const place = port === undefined ? [] : ['-p', `${port}`];
  const limits = { timeout: ANSWER_MS, maxBuffer: MAX_ANSWER_BYTES };
  return new Promise((resolve, reject) => {
    execFile('ssh', ['-G', ...options, ...login, ...place, '--', host], limits, (cause, stdout, stderr) => {
      if (cause === null) return resolve(parseAnswer(stdout));
      if (cause.code === 'ENOENT' || REFUSED_USER.test(stderr)) return resolve(undefined);
      const why =
        cause.killed === true ? `no answer within ${ANSWER_MS / 1000} s` : stderr.trim() || cause.message;
      reject(new PynqLlmError('SSH_CONFIG', `\`ssh -G ${host}\` fails: ${why}.`, { cause }));
    }).stdin?.end();
  });
}

function parseAnswer(answer: string): Settings {
  const moved = homesOfSsh();
  const settings = new Map<string, string[]>();
  for (const line of answer.split(/\r?\n/)) {
    const [, name, text] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) continue;
    const values = name.endsWith('knownhostsfile') ? splitFiles(text) : [text];
    settings.set(name, [...(settings.get(name) ?? []), ...values.map(moved)]);
  }
  return settings;
}

/** The answer has several files on a line without quotes. All are absolute or begin with `~`: a blank before neither is part of a name. */
function splitFiles(text: string): string[] {
  return text.split(/ (?=[/~]|[A-Za-z]:)/);
}

/**
 * `ssh` takes the home folder from the user database, all other programs from HOME. Where they differ (a container, a service, `sudo -E`), it
 * is shown the files below HOME instead.
 */
function configElsewhere(): string | undefined {
  if (databaseHome() === homedir()) return undefined;
  const folder = join(homedir(), '.ssh');
  let own = '';
  try {
    own = readFileSync(join(folder, 'config'), 'utf8');
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'))
      throw new PynqLlmError('SSH_CONFIG', `${join(folder, 'config')} cannot be read.`, { cause });
  }
  const lines = own.split('\n').map((line) =>
    line.replace(/^(\s*include[\s=]\s*)(.*)$/i, (_, keyword: string, files: string) => {
      const absolute = (name: string) =>
        name.startsWith('~/')
          ? join(homedir(), name.slice(2))
          : name.startsWith('/')
            ? name
            : join(folder, name);
      return (
        keyword + files.replace(/"([^"]*)"|(\S+)/g, (_all, quoted, plain) => `"${absolute(quoted ?? plain)}"`)
      );
    }),
  );
  const system = systemConfig();
  return `${lines.join('\n')}\nMatch all\n${system === undefined ? '' : `Include "${system}"\n`}`;
}

/** Puts HOME where `ssh` has put the home folder of the user database. */
function homesOfSsh(): (value: string) => string {
  const database = databaseHome();
  if (database === homedir()) return (value) => value;
  return (value) =>
    value.startsWith(`${database}/`) ? join(homedir(), value.slice(database.length)) : value;
}

function databaseHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    // A user without an entry: `ssh` will say so.
    return homedir();
  }
}
