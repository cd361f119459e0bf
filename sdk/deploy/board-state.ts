import { PynqLlmError } from '../../errors/index.js';
import type { ExecResult } from '../ssh/index.js';
import type { Layout } from './layout.js';
import { isReleasePath } from './release.js';
import { commandFailed, type RootShell } from './root-shell.js';
import type { ServiceManager } from './service-manager.js';
import { SWITCH_STATUS, switchScript } from './switch-script.js';

/** A release on a board. */
export interface InstalledRelease {
  /** SHA-256 over its files, hexadecimal. */
  readonly digest: string;
  /** Version of the package that it is of. */
  readonly version: string;
  /** Version of the Node.js that it brings. */
  readonly node: string;
  /** `current` leads to it. */
  readonly active: boolean;
  /** The agent that runs is of this release. */
  readonly running: boolean;
  /** The one before: what `--rollback` goes to. */
  readonly previous: boolean;
}

/** What is installed on a board. */
export interface BoardState {
  readonly releases: readonly InstalledRelease[];
  /** Token of an activation that is not confirmed yet. */
  readonly pending: string | undefined;
  /** The design and the fleet of the active release: SHA-256 of their files by path. */
  readonly design: ReadonlyMap<string, string>;
}

/** switch.sh, run over SSH. */
export class Switch {
  readonly #shell: RootShell;
  readonly #script: string;

  constructor(shell: RootShell, manager: ServiceManager, layout: Layout) {
    this.#shell = shell;
    this.#script = switchScript(manager, layout);
  }

  async status(): Promise<BoardState> {
    return parseStatus(await this.#shell.run('say what is installed', this.#script, ['status']));
  }

  /** @throws PynqLlmError DEPLOY_NO_RELEASE */
  activate(release: string, token: string, seconds: number): Promise<void> {
    return this.#run('activate the release', ['activate', release, token, `${seconds}`], release);
  }

  /** False if the activation was undone before. */
  async confirm(token: string): Promise<boolean> {
    const result = await this.#shell.try(this.#script, ['confirm', token]);
    if (result.status === SWITCH_STATUS.notPending) return false;
    checkBusy(result);
    if (result.status !== 0) throw commandFailed('confirm the release', result);
    return true;
  }

  revert(token: string): Promise<void> {
    return this.#run('bring the release before back', ['revert', token], '');
  }

  /**
   * The public key of the board in its fleet, which is made where there is none, by the agent's user.
   * @param file of its seed @throws PynqLlmError SSH_COMMAND_FAILED
   */
  async key(release: string, file: string): Promise<string> {
    const result = await this.#shell.try(this.#script, ['key', release, file]);
    const [key] = /^U[A-Z2-7]{55}$/m.exec(result.stdout) ?? [];
    if (result.status !== 0 || key === undefined) throw commandFailed('make its key of the fleet', result);
    return key;
  }

  /** @throws PynqLlmError DEPLOY_NO_RELEASE, DEPLOY_RELEASE_IN_USE */
  remove(release: string): Promise<void> {
    return this.#run('remove the release', ['remove', release], release);
  }

  uninstall(): Promise<void> {
    return this.#run('remove the agent', ['uninstall'], '');
  }

  async #run(what: string, words: readonly string[], release: string): Promise<void> {
    const result = await this.#shell.try(this.#script, words);
    checkBusy(result);
    if (result.status === SWITCH_STATUS.noRelease)
      throw new PynqLlmError('DEPLOY_NO_RELEASE', `The board has no release ${release}.`, {
        context: { release },
      });
    if (result.status === SWITCH_STATUS.inUse)
      throw new PynqLlmError('DEPLOY_RELEASE_IN_USE', `The release ${release.slice(0, 12)} is active.`, {
        context: { release },
      });
    if (result.status !== 0) throw commandFailed(what, result);
  }
}

/** @throws PynqLlmError DEPLOY_BUSY */
export function checkBusy({ status }: ExecResult): void {
  if (status === SWITCH_STATUS.busy)
    throw new PynqLlmError('DEPLOY_BUSY', 'Another deploy holds the lock of this board.');
}

/** Reads what `switch.sh status` printed. */
export function parseStatus(output: string): BoardState {
  const lines = output.split('\n');
  const value = (name: string) => {
    const line = lines.find((one) => one.startsWith(`${name}=`));
    return line?.slice(name.length + 1).trim() || undefined;
  };
  const releases = lines.flatMap((line) => {
    const [, digest, about] = /^release=([0-9a-f]{64}) (.*)$/.exec(line) ?? [];
    if (digest === undefined) return [];
    const [, version = '?'] = /"version":"([\w.+-]+)"/.exec(about) ?? [];
    const [, node = '?'] = /"node":"([\w.+-]+)"/.exec(about) ?? [];
    return [
      {
        digest,
        version,
        node,
        active: digest === value('active'),
        running: digest === value('running'),
        previous: digest === value('previous'),
      },
    ];
  });
  const design = new Map(
    lines.flatMap((line) => {
      const [, sha256, path = ''] = /^design=([0-9a-f]{64}) (.+)$/.exec(line) ?? [];
      return sha256 !== undefined && isReleasePath(path) ? [[path, sha256] as const] : [];
    }),
  );
  return { releases, pending: value('pending'), design };
}
