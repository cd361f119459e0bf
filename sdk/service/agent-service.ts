import { setTimeout as delay } from 'node:timers/promises';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../board-client.js';
import { type ConnectOptions, requireConnectArguments } from '../connect.js';
import { openBoard } from '../open-board.js';
import {
  type ExecResult,
  openSsh,
  parseSshUrl,
  type SshConnection,
  shellCommand,
  shellScript,
} from '../ssh/index.js';
import { throughStream } from '../transports/ssh.js';
import { runAsRoot } from './as-root.js';
import { parseUnitState, UNIT, UNIT_STATE, type UnitState } from './unit-state.js';

const QUESTION_MS = 20_000;
/** systemd itself waits 90 s for a service to stop. */
const RESTART_MS = 120_000;
/** After a restart the agent opens its device; on a PYNQ-Z1 Node.js alone takes seconds to start. */
const READY_MS = 60_000;
const RETRY_MS = 500;

/** Which lines of the log are wanted. */
export interface LogOptions {
  /** Lines from before. */
  readonly lines: number;
  /** Goes on with what comes until `signal`. */
  readonly follow: boolean;
  /** Takes the text as it comes. */
  readonly onText: (text: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** The agent's service on a board, through the board's own shell. */
export class AgentService implements AsyncDisposable {
  readonly #ssh: SshConnection;
  readonly #url: string;
  readonly #options: ConnectOptions;

  private constructor(ssh: SshConnection, url: string, options: ConnectOptions) {
    this.#ssh = ssh;
    this.#url = url;
    this.#options = options;
  }

  /**
   * Logs in to a board.
   * @param url `ssh://USER@HOST`, as `connect` takes it
   * @throws PynqLlmError SERVICE_NEEDS_SSH for other URLs, SSH_...
   */
  static async open(url: string, options: ConnectOptions = {}): Promise<AgentService> {
    requireConnectArguments(url, options);
    if (!url.startsWith('ssh://'))
      throw new PynqLlmError(
        'SERVICE_NEEDS_SSH',
        `${url.replace(/:.*/s, ':')} leads to an agent, not to the board's shell.`,
      );
    const { target } = parseSshUrl(url);
    return new AgentService(await openSsh(target, { ...options.ssh, signal: options.signal }), url, options);
  }

  /** What systemd says; undefined where the board has no systemd. */
  async state(): Promise<UnitState | undefined> {
    const { stdout } = await this.#ssh.exec(
      shellCommand(shellScript([UNIT_STATE.file], UNIT_STATE.values)),
      this.#question(),
    );
    return parseUnitState(stdout);
  }

  /** Connects to the agent over the same login, once. @throws as `connect` */
  connect(): Promise<BoardClient> {
    const { agent } = parseSshUrl(this.#url);
    return openBoard(
      throughStream(() => this.#ssh.forwardTo(agent), this.#url),
      this.#options,
      0,
    );
  }

  /**
   * Prints the service's log. Following ends with `signal`, and that is no error.
   * @throws PynqLlmError SERVICE_COMMAND_FAILED, SERVICE_NEEDS_SUDO
   */
  async logs({ lines, follow, onText, signal }: LogOptions): Promise<void> {
    const journal = `journalctl --unit=${UNIT} --no-pager --output=short-iso --lines=${lines}${follow ? ' --follow' : ''}`;
    const options = {
      timeoutMs: follow ? Number.POSITIVE_INFINITY : QUESTION_MS,
      onStdout: onText,
      signal,
    };
    try {
      const mayRead = await this.#ssh.exec('id -nG', this.#question());
      const isReader = mayRead.stdout.split(/\s+/).some((group) => JOURNAL_GROUPS.has(group));
      const result = isReader
        ? await this.#ssh.exec(journal, options)
        : await runAsRoot(this.#ssh, journal, { ...options, prompts: this.#options.ssh?.prompts });
      requireSuccess(journal, result);
    } catch (error) {
      if (!follow || !signal.aborted) throw error;
    }
  }

  /**
   * Restarts the service and waits until its agent answers with an open device.
   * @throws PynqLlmError SERVICE_NOT_INSTALLED, SERVICE_COMMAND_FAILED, SERVICE_NEEDS_SUDO, and what kept the agent
   *   from answering in time
   */
  async restart(): Promise<UnitState> {
    await this.#installed();
    const { signal, ssh } = this.#options;
    const command = `systemctl restart ${UNIT}`;
    requireSuccess(
      command,
      await runAsRoot(this.#ssh, command, { timeoutMs: RESTART_MS, signal, prompts: ssh?.prompts }),
    );
    await this.#ready();
    return this.#installed();
  }

  /** Ends the login. */
  close(): Promise<void> {
    return this.#ssh.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #installed(): Promise<UnitState> {
    const state = await this.state();
    if (state?.installed) return state;
    throw new PynqLlmError(
      'SERVICE_NOT_INSTALLED',
      state === undefined
        ? `${this.#ssh.place} has no systemd.`
        : `${this.#ssh.place} has no unit named ${UNIT}.`,
    );
  }

  /** An agent that refuses a token answers too: it is up. */
  async #ready(): Promise<void> {
    const end = performance.now() + READY_MS;
    for (;;) {
      try {
        await (await this.connect()).close();
        return;
      } catch (error) {
        if (isPynqLlmError(error, 'AGENT_UNAUTHORISED')) return;
        if (performance.now() > end || this.#options.signal?.aborted) throw error;
      }
      await delay(RETRY_MS, undefined, { signal: this.#options.signal });
    }
  }

  #question() {
    return { timeoutMs: QUESTION_MS, signal: this.#options.signal };
  }
}

/** Whose members may read the journal of all units (systemd-journald(8), "ACCESS CONTROL"). */
const JOURNAL_GROUPS: ReadonlySet<string> = new Set(['root', 'systemd-journal', 'adm', 'wheel']);

function requireSuccess(command: string, { status, stderr }: ExecResult): void {
  if (status === 0) return;
  const said = stderr.trim().slice(-1_000) || `it ended with status ${status ?? 'unknown'}`;
  throw new PynqLlmError('SERVICE_COMMAND_FAILED', `\`${command}\` failed: ${said}.`, {
    context: { command, status: status ?? -1 },
  });
}
