import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type CliOptions, type CliResult, cli } from '../system/support/cli.js';
import { makeSshKey } from '../system/support/ssh-key.js';
import { LOGIN } from './board-shell.js';

/** A command of the project may take so long here; its own deadlines are shorter. */
const COMMAND_MS = 900_000;

/** Who uses the board: a home folder with an SSH key of its own, and the project's command line. */
export class Laptop {
  /** The public key, as one line of authorized_keys. */
  readonly publicKey: string;
  readonly #home: string;

  /** @param home does not exist yet */
  constructor(home: string) {
    this.#home = home;
    const folder = join(home, '.ssh');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const keyFile = join(folder, 'id_ed25519');
    makeSshKey(keyFile);
    this.publicKey = readFileSync(`${keyFile}.pub`, 'utf8').trim();
  }

  /** Runs `pynq-llm`; with `needsPassword`, it gets the board's on standard input. */
  run(args: readonly string[], options: Partial<CliOptions> = {}): Promise<CliResult> {
    return cli(args, {
      home: this.#home,
      timeoutMs: COMMAND_MS,
      env: {
        // What deploy fetches is kept with what the user's own deploys fetched, and through the user's registry.
        XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
        npm_config_userconfig: process.env.npm_config_userconfig ?? join(homedir(), '.npmrc'),
      },
      ...options,
    });
  }

  /** Runs a command that gets the board's password on standard input and prints JSON. @throws Error if it fails */
  async ask<T>(args: readonly string[], options: Partial<CliOptions> = {}): Promise<T> {
    const { status, stdout, stderr } = await this.run([...args, '--json'], {
      input: `${LOGIN.password}\n`,
      ...options,
    });
    if (status !== 0) throw new Error(`pynq-llm ${args.join(' ')}: status ${status}\n${stdout}${stderr}`);
    return JSON.parse(stdout);
  }
}

/**
 * Installs the package once more, as another version.
 *
 * @param folder does not exist yet
 * @param agent what is put before the agent's own program
 * @returns its `dist/cli/main.js`
 */
export function installVersion(folder: string, version: string, agent = ''): string {
  mkdirSync(folder);
  for (const name of ['node_modules', 'boards', 'models', 'vectors'])
    symlinkSync(resolve(name), join(folder, name));
  cpSync('dist', join(folder, 'dist'), { recursive: true, filter: (path) => path !== join('dist', 'test') });
  for (const path of ['package.json', join('dist', 'bundle', 'package.json')]) {
    const about: Record<string, unknown> = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(join(folder, path), JSON.stringify({ ...about, version }));
  }
  const main = join(folder, 'dist', 'bundle', 'agent', 'main.mjs');
  writeFileSync(main, agent + readFileSync(main, 'utf8'));
  return join(folder, 'dist', 'cli', 'main.js');
}
