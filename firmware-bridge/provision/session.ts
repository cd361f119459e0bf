import { PynqLlmError } from '../../errors/index.js';
import { type BootFailure, decodeBootLine, NoiseMeter } from './boot-log.js';
import { type BoardCommand, boardCommands, type Findings, SUDO_PROMPT } from './commands.js';
import { outputLines, type Prompt, plainText, promptAt } from './console-text.js';
import type { CheckedRequest, ProvisionResult } from './request.js';

/** What to do next, after bytes or after time has passed. */
export interface ProvisionStep {
  /** Goes to the board. It may hold the password: never log it. */
  readonly send: string;
  /** For people. */
  readonly notices: readonly string[];
  readonly result?: ProvisionResult;
  readonly error?: PynqLlmError;
}

/** A PYNQ image boots in about a minute; a first boot that grows its file system takes two. */
const LOGIN_DEADLINE_MS = 240_000;
/** A board that is on says something when it is woken this often without an answer, or it is not there. */
const SILENCE_DEADLINE_MS = 30_000;
const COMMAND_DEADLINE_MS = 60_000;
/** U-Boot counts down once a second, and a key stops it: only a longer silence is broken with Enter. */
const QUIET_MS = 2_000;
/** After a password the board takes its time: PAM waits about three seconds before it refuses. */
const LOGIN_QUIET_MS = 10_000;
const RETRY_MS = 2_000;
const MAX_TEXT = 256 * 1024;

type State = 'waking' | 'login' | 'password' | 'command' | 'between' | 'over';

/**
 * Makes a board ready over its console: bytes and time in, bytes out, no I/O of its own. It follows the boot, logs in,
 * runs the commands one by one and logs out.
 */
export class ProvisionSession {
  readonly #request: CheckedRequest;
  readonly #findings: Findings = { hostKeys: [], addresses: [] };
  readonly #commands: BoardCommand[];
  readonly #noise = new NoiseMeter();
  readonly #decoder = new TextDecoder();
  readonly #started: number;
  #state: State = 'waking';
  /** Since the last thing that was sent. */
  #text = '';
  /** The line that is not complete yet, for the boot log. */
  #partial = '';
  #lastActivity: number;
  #heard = false;
  #loggedIn = false;
  #loginTries = 0;
  #bootLoaderLeft = false;
  #failure: BootFailure | undefined;
  #index = 0;
  #attempt = 0;
  #commandStarted = 0;
  #passwordSent = false;
  #send = '';
  #notices: string[] = [];

  /** @param now milliseconds, as in the calls that follow */
  constructor(request: CheckedRequest, now: number) {
    this.#request = request;
    this.#started = now;
    this.#lastActivity = now;
    this.#commands = boardCommands(request, this.#findings);
  }

  /** Takes what the board wrote. */
  receive(bytes: Uint8Array, now: number): ProvisionStep {
    return this.#step(() => {
      this.#heard = true;
      this.#lastActivity = now;
      if (this.#noise.add(bytes))
        throw new PynqLlmError('FIRMWARE_WRONG_BAUD', 'The serial port delivers noise instead of text.');
      const text = this.#decoder.decode(bytes, { stream: true });
      this.#text = (this.#text + text).slice(-MAX_TEXT);
      this.#watchBoot(text);
      this.#react(now);
    });
  }

  /** Takes note that time has passed; to be called a few times a second. */
  elapse(now: number): ProvisionStep {
    return this.#step(() => {
      this.#checkDeadlines(now);
      const quiet = now - this.#lastActivity;
      if (this.#state === 'between' && quiet >= RETRY_MS) this.#runCommand(now);
      else if (this.#state === 'waking' && quiet >= QUIET_MS) this.#transmit('\r', now);
      else if (this.#state === 'password' && quiet >= LOGIN_QUIET_MS) this.#transmit('\r', now);
    });
  }

  #step(act: () => void): ProvisionStep {
    this.#send = '';
    this.#notices = [];
    if (this.#state === 'over') return { send: '', notices: [] };
    try {
      act();
    } catch (error) {
      this.#state = 'over';
      if (!(error instanceof PynqLlmError)) throw error;
      return { send: this.#send, notices: this.#notices, error };
    }
    if (this.#index < this.#commands.length) return { send: this.#send, notices: this.#notices };
    this.#state = 'over';
    return { send: this.#send, notices: this.#notices, result: this.#result() };
  }

  #react(now: number): void {
    const text = plainText(this.#text);
    const prompt = this.#loggingIn() ? promptAt(text) : undefined;
    if (this.#state === 'command') this.#readOutput(text, now);
    else if (prompt) this.#answer(prompt, now);
  }

  #answer(prompt: Prompt, now: number): void {
    const { user, password } = this.#request;
    if (prompt === 'shell') this.#runCommand(now);
    if (prompt === 'boot-loader') this.#leaveBootLoader(now);
    if (prompt === 'new-password')
      throw new PynqLlmError(
        'FIRMWARE_LOGIN_REFUSED',
        `The image wants a new password for ${user} at its first login.`,
        {
          remedy: 'Log in once with `pynq-llm console`, set it there, and run this again.',
        },
      );
    if (prompt === 'refused' && this.#passwordSent)
      throw new PynqLlmError('FIRMWARE_LOGIN_REFUSED', `The board does not take this password for ${user}.`, {
        context: { user },
      });
    if (prompt === 'login' && this.#state !== 'password') {
      // What was typed before, such as Enter during the boot, may have been taken for a name.
      if (++this.#loginTries > 3)
        throw new PynqLlmError('FIRMWARE_LOGIN_REFUSED', 'The board asks again and again who logs in.');
      this.#notices.push(`The board asks for a login; logging in as ${user}.`);
      this.#state = 'login';
      this.#transmit(`${user}\r`, now);
    }
    if (prompt === 'password' && this.#state === 'login') {
      this.#state = 'password';
      this.#passwordSent = true;
      this.#loggedIn = true;
      this.#transmit(`${password}\r`, now);
    }
  }

  #leaveBootLoader(now: number): void {
    if (this.#bootLoaderLeft)
      throw new PynqLlmError(
        'FIRMWARE_BOOT_FAILED',
        'The board stays in its boot loader: it finds nothing to boot.',
        {
          context: { ...(this.#failure && { line: this.#failure.line }) },
        },
      );
    this.#bootLoaderLeft = true;
    this.#notices.push('The board waits in its boot loader; booting.');
    this.#transmit('boot\r', now);
  }

  #runCommand(now: number): void {
    const { line, purpose } = this.#commands[this.#index]!;
    if (this.#attempt === 0) {
      this.#commandStarted = now;
      this.#notices.push(`On the board: ${purpose}.`);
    }
    this.#attempt += 1;
    this.#passwordSent = false;
    this.#state = 'command';
    const mark = this.#mark();
    // The marks are split in what is typed, so that its echo is not taken for output. A blank keeps it out of the history.
    this.#transmit(
      ` printf '\\n%s%s\\n' '<<' '${mark}'; ${line}; printf '\\n%s%s %d\\n' '>>' '${mark}' "$?"\r`,
      now,
    );
  }

  #readOutput(text: string, now: number): void {
    const command = this.#commands[this.#index]!;
    if (command.sudo && text.endsWith(SUDO_PROMPT)) {
      if (this.#passwordSent) {
        this.#send += '\x03';
        throw new PynqLlmError('FIRMWARE_LOGIN_REFUSED', 'sudo on the board does not take the password.');
      }
      this.#passwordSent = true;
      this.#send += `${this.#request.password}\r`;
      // The mark of the command's beginning stays in the text; the question in it is answered.
      this.#text += '\n';
      return;
    }
    const mark = this.#mark();
    const start = text.indexOf(`<<${mark}\n`);
    const end = new RegExp(`\\n>>${mark} (\\d+)(?=\\n)`).exec(text);
    if (start < 0 || !end) return;
    const output = outputLines(text.slice(start + mark.length + 3, end.index)).filter(
      (line) => line !== SUDO_PROMPT,
    );
    const status = Number(end[1]);
    const verdict = command.accept(output, status);
    if (verdict === 'failed')
      throw new PynqLlmError(
        'FIRMWARE_COMMAND_FAILED',
        `The board could not ${command.purpose}: ${output.join(' ').slice(0, 300) || `status ${status}`}.`,
        { context: { purpose: command.purpose, status } },
      );
    if (verdict === 'done') {
      this.#next(now);
    } else {
      this.#state = 'between';
      this.#text = '';
    }
  }

  #next(now: number): void {
    const { user } = this.#findings;
    if (user !== undefined && user !== this.#request.user)
      throw new PynqLlmError(
        'FIRMWARE_LOGIN_REFUSED',
        `The console is logged in as ${user.slice(0, 40)}, not as ${this.#request.user}.`,
        { remedy: 'Log out there with `pynq-llm console`, or give that user with --user.' },
      );
    this.#index += 1;
    this.#attempt = 0;
    if (this.#index < this.#commands.length) this.#runCommand(now);
    // Whoever finds the cable plugged in later must not find an open shell; one that was open before stays.
    else if (this.#loggedIn) this.#transmit(' exit\r', now);
  }

  #watchBoot(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop()!.slice(-1000);
    for (const line of lines) {
      const failure = decodeBootLine(plainText(line));
      if (!failure) continue;
      if (failure.fatal) throw bootFailed(failure);
      if (this.#failure?.meaning !== failure.meaning)
        this.#notices.push(`The board says: ${failure.line} (${failure.meaning})`);
      this.#failure = failure;
    }
  }

  #checkDeadlines(now: number): void {
    const silent = !this.#heard && now - this.#started >= SILENCE_DEADLINE_MS;
    if (silent)
      throw new PynqLlmError(
        'FIRMWARE_NO_ANSWER',
        `The board said nothing for ${SILENCE_DEADLINE_MS / 1000} s.`,
      );
    if (!this.#loggingIn()) {
      const { purpose } = this.#commands[this.#index]!;
      if (now - this.#commandStarted < COMMAND_DEADLINE_MS) return;
      throw new PynqLlmError(
        'FIRMWARE_COMMAND_FAILED',
        `The board could not ${purpose} within ${COMMAND_DEADLINE_MS / 1000} s.`,
        {
          context: { purpose },
          ...(purpose === 'read the address' && {
            remedy: 'It has no address: plug in its network cable, or give it one with --static-address.',
          }),
        },
      );
    }
    if (now - this.#started < LOGIN_DEADLINE_MS) return;
    if (this.#failure) throw bootFailed(this.#failure);
    throw new PynqLlmError(
      'FIRMWARE_NO_ANSWER',
      `The board asked for no login within ${LOGIN_DEADLINE_MS / 1000} s.`,
    );
  }

  #transmit(text: string, now: number): void {
    this.#send += text;
    this.#text = '';
    this.#lastActivity = now;
  }

  #loggingIn(): boolean {
    return this.#state !== 'command' && this.#state !== 'between';
  }

  #mark(): string {
    return `PL-${this.#index}-${this.#attempt}`;
  }

  #result(): ProvisionResult {
    const { facts, hostKeys, addresses, keyWasThere = false } = this.#findings;
    return { ...facts!, hostKeys, addresses, keyWasThere };
  }
}

function bootFailed({ line, meaning, remedy }: BootFailure): PynqLlmError {
  return new PynqLlmError('FIRMWARE_BOOT_FAILED', `The board does not boot: ${meaning} ("${line}").`, {
    context: { line },
    remedy,
  });
}
