import { PynqLlmError } from '../../errors/index.js';
import { type BootFailure, decodeBootLine, NoiseMeter } from './boot-log.js';
import { type BoardCommand, boardCommands, type Findings, SUDO_PROMPT } from './commands.js';
import { outputLines, plainText } from './console-text.js';
import { ConsoleLogin, type WaitingFor } from './login.js';
import type { CheckedRequest, ProvisionResult } from './request.js';

/** What to do next, after bytes or after time has passed. */
export interface ProvisionStep {
  /** Goes to the board. It may hold the password: never log it. */
  readonly send: string;
  /** For people. */
  readonly notices: readonly string[];
  /** The board's last lines, for a person who has to say what it waits for; nothing goes on before `answer`. */
  readonly question?: readonly string[];
  readonly result?: ProvisionResult;
  readonly error?: PynqLlmError;
}

/** A PYNQ image boots in about a minute; a first boot that grows its file system takes two. */
const LOGIN_DEADLINE_MS = 240_000;
/** A board that is on says something when it is woken this often without an answer, or it is not there. */
const SILENCE_DEADLINE_MS = 30_000;
const COMMAND_DEADLINE_MS = 60_000;
const RETRY_MS = 2_000;
const MAX_TEXT = 256 * 1024;

type State = 'login' | 'command' | 'between' | 'over';

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
  readonly #login: ConsoleLogin;
  #started: number;
  #state: State = 'login';
  /** Since the last thing that was sent. */
  #text = '';
  /** The line that is not complete yet, for the boot log. */
  #partial = '';
  #lastActivity: number;
  #heard = false;
  #askedAt: number | undefined;
  #question: readonly string[] | undefined;
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
    const out = {
      send: (text: string) => {
        this.#send += text;
      },
      notice: (text: string) => void this.#notices.push(text),
      ask: (lines: readonly string[]) => {
        this.#question = lines;
      },
    };
    this.#login = new ConsoleLogin(request.user, request.password, out, now);
  }

  /** Takes what the board wrote. */
  receive(bytes: Uint8Array, now: number): ProvisionStep {
    return this.#step(() => {
      this.#heard = true;
      this.#lastActivity = now;
      if (this.#noise.add(bytes))
        throw new PynqLlmError('FIRMWARE_WRONG_BAUD', 'The serial port delivers noise instead of text.');
      const text = this.#decoder.decode(bytes, { stream: true });
      this.#watchBoot(text);
      if (this.#state === 'login') return this.#logIn(() => this.#login.receive(text, now), now);
      this.#text = (this.#text + text).slice(-MAX_TEXT);
      if (this.#state === 'command') this.#readOutput(plainText(this.#text), now);
    });
  }

  /** Takes note that time has passed; to be called a few times a second. */
  elapse(now: number): ProvisionStep {
    return this.#step(() => {
      if (this.#login.isAsking) {
        this.#askedAt ??= now;
        return;
      }
      this.#checkDeadlines(now);
      const quiet = now - this.#lastActivity;
      if (this.#state === 'login') this.#logIn(() => this.#login.elapse(now), now);
      else if (this.#state === 'between' && quiet >= RETRY_MS) this.#runCommand(now);
    });
  }

  /**
   * What a person says that the board waits for, after a step with a question; undefined if nobody says.
   * The time that the answer took counts for no deadline.
   */
  answer(waitingFor: WaitingFor | undefined, now: number): ProvisionStep {
    return this.#step(() => {
      if (waitingFor === undefined) throw this.#unknown();
      this.#started += now - (this.#askedAt ?? now);
      this.#askedAt = undefined;
      this.#login.resume(waitingFor, now);
    });
  }

  #logIn(act: () => void, now: number): void {
    act();
    if (this.#login.isIn) this.#runCommand(now);
  }

  #step(act: () => void): ProvisionStep {
    this.#send = '';
    this.#notices = [];
    this.#question = undefined;
    if (this.#state === 'over') return { send: '', notices: [] };
    try {
      act();
    } catch (error) {
      this.#state = 'over';
      if (!(error instanceof PynqLlmError)) throw error;
      return { send: this.#send, notices: this.#notices, error };
    }
    const step = { send: this.#send, notices: this.#notices };
    if (this.#question !== undefined) return { ...step, question: this.#question };
    if (this.#index < this.#commands.length) return step;
    this.#state = 'over';
    return { ...step, result: this.#result() };
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
    else if (this.#login.hasToLeave) this.#transmit(' exit\r', now);
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
    if (this.#state !== 'login') {
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
    if (this.#login.lastLines.length > 0) throw this.#unknown();
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

  /** @returns the error with the lines that nobody understood */
  #unknown(): PynqLlmError {
    const lines = this.#login.lastLines;
    return new PynqLlmError(
      'FIRMWARE_CONSOLE_UNKNOWN',
      `What the board waits for was not recognised. Its last lines: ${lines.map((line) => `"${line}"`).join(', ')}.`,
      { context: { lines } },
    );
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
