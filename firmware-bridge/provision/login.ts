import { PynqLlmError } from '../../errors/index.js';
import { cursorLine, isLikeShell, outputLines, type Prompt, plainText, promptAt } from './console-text.js';

/** What a person says that the board waits for; `nothing` is to wait on. */
export type WaitingFor = 'login' | 'password' | 'shell' | 'nothing';

/** What the login wants done. */
export interface LoginOutput {
  /** Sends to the board. */
  send(text: string): void;
  /** Tells people. */
  notice(text: string): void;
  /** Asks a person what the board waits for, showing the last lines. */
  ask(lines: readonly string[]): void;
}

/** U-Boot counts down once a second, and a key stops it: only a longer silence is broken. */
const QUIET_MS = 2_000;
/** A question with text behind it counts after this silence. */
const SETTLED_MS = 700;
/** After a password the board takes its time: PAM waits about three seconds before it refuses. */
const LOGIN_QUIET_MS = 10_000;
/** A shell answers the probe before, if it is one. */
const PROBE_MS = 5_000;
/** An echo comes before. */
const ECHO_MS = 1_000;
const MAX_TEXT = 256 * 1024;
const MAX_TRIES = 3;
/** So many lines that came and were no prompt are enough. */
const MAX_UNKNOWN = 6;
const SHOWN_LINES = 8;

/** Split, so that the echo of the command is not taken for its output. `$?` is only in POSIX shells. */
const POSIX_PROBE = ` printf '\\n%s%s\\n' '<<' 'PL-0-0'; id -un; printf '\\n%s%s %d\\n' '>>' 'PL-0-0' "$?"\r`;
const POSIX_ANSWER = /\n>>PL-0-0 \d+\n/;
/** What csh and fish understand too. */
const ANY_PROBE = " printf '\\n%s%s\\n' '<<' 'PL-SHELL'\r";
const ANY_ANSWER = /(?:^|\n)<<PL-SHELL\n/;
/** A key that is erased again, by Ctrl-U: whether it is shown tells whether what is typed is secret. */
const ECHO_PROBE = 'x';
const ERASE = '\x15';

type State = 'waking' | 'named' | 'echo' | 'password' | 'probing' | 'entering' | 'asking' | 'in';

/**
 * Gets from whatever a console shows to a POSIX shell. Usual questions are known by their words; others by how they behave: a prompt is what
 * comes again after Enter or waits behind a colon, a login answers a name with another question that does not echo, a shell runs a command.
 */
export class ConsoleLogin {
  readonly #user: string;
  readonly #password: string;
  readonly #out: LoginOutput;
  #state: State = 'waking';
  /** Since the last thing that was sent. */
  #text = '';
  /** Before that, for showing. */
  #before = '';
  #lastActivity: number;
  #tries = 0;
  #unknown = 0;
  #passwordSent = false;
  #bootLoaderLeft = false;
  /** The lines that were answered with a name, and with the password. */
  #loginLine: string | undefined;
  #passwordLine: string | undefined;
  /** The cursor's line before Enter was pressed. */
  #lineBefore = '';
  /** Lines that no shell stands behind. */
  readonly #noShells = new Set<string>();
  #probed = '';
  #isLastProbe = false;
  /** Whether it has started a shell in the one that was open before. */
  #nested = false;

  constructor(user: string, password: string, out: LoginOutput, now: number) {
    this.#user = user;
    this.#password = password;
    this.#out = out;
    this.#lastActivity = now;
  }

  /** Whether a POSIX shell waits for commands. */
  get isIn(): boolean {
    return this.#state === 'in';
  }

  get isAsking(): boolean {
    return this.#state === 'asking';
  }

  /** Whether the shell has to be left: what was open before stays. */
  get hasToLeave(): boolean {
    return this.#passwordSent || this.#loginLine !== undefined || this.#nested;
  }

  /** The last lines that the board wrote. */
  get lastLines(): string[] {
    const shown = plainText(this.#before + this.#text);
    const hidden = this.#password === '' ? shown : shown.replaceAll(this.#password, '…');
    return outputLines(hidden).slice(-SHOWN_LINES);
  }

  /** @throws PynqLlmError FIRMWARE_LOGIN_REFUSED, FIRMWARE_BOOT_FAILED */
  receive(text: string, now: number): void {
    this.#lastActivity = now;
    this.#text = (this.#text + text).slice(-MAX_TEXT);
    const plain = plainText(this.#text);
    if (this.#state === 'asking' || this.#state === 'in' || this.#state === 'echo') return;
    if (this.#state === 'probing') {
      if (POSIX_ANSWER.test(plain)) this.#foundShell();
      else if (ANY_ANSWER.test(plain)) this.#enterShell(now);
      return;
    }
    const prompt = promptAt(plain);
    if (prompt !== undefined) this.#answer(prompt, cursorLine(plain), now);
  }

  /** Takes note that time has passed. @throws PynqLlmError FIRMWARE_LOGIN_REFUSED, FIRMWARE_CONSOLE_UNKNOWN */
  elapse(now: number): void {
    const quiet = now - this.#lastActivity;
    const plain = plainText(this.#text);
    const line = cursorLine(plain);
    switch (this.#state) {
      case 'probing':
        if (quiet >= PROBE_MS) this.#afterProbe(plain, now);
        return;
      case 'entering':
        if (quiet >= QUIET_MS) this.#state = 'in';
        return;
      case 'echo':
        if (quiet >= ECHO_MS) this.#afterEcho(plain, now);
        return;
      case 'waking':
      case 'named':
      case 'password': {
        const prompt = quiet >= SETTLED_MS ? promptAt(plain, true) : undefined;
        const before = this.#state;
        if (prompt !== undefined && prompt !== 'shell') this.#answer(prompt, line, now);
        // What is known was answered, or is no question at this point.
        if (this.#state !== before || quiet < QUIET_MS || this.#text === '') {
          if (this.#state === 'waking' && quiet >= QUIET_MS) this.#wake('', now);
          return;
        }
        if (before === 'waking') this.#wake(line, now);
        else if (before === 'named') this.#named(plain, line, now);
        else this.#afterPassword(plain, line, quiet, now);
      }
    }
  }

  /** What a person said. */
  resume(waitingFor: WaitingFor, now: number): void {
    const line = cursorLine(plainText(this.#text));
    this.#unknown = 0;
    this.#tries = 0;
    if (waitingFor === 'login') this.#sendName(line, now);
    else if (waitingFor === 'password') this.#sendPassword(line, now);
    else if (waitingFor === 'shell') this.#enterShell(now);
    else this.#state = this.#passwordSent ? 'password' : 'waking';
    this.#lastActivity = now;
  }

  #answer(prompt: Prompt, line: string, now: number): void {
    if (this.#state === 'entering') {
      if (prompt === 'shell') this.#state = 'in';
      return;
    }
    if (prompt === 'shell') this.#state = 'in';
    if (prompt === 'boot-loader') this.#leaveBootLoader(now);
    if (prompt === 'new-password') throw this.#wantsNewPassword();
    if (prompt === 'refused' && this.#passwordSent) throw this.#refused();
    if (prompt === 'login' && this.#state !== 'password') {
      // What was typed before, such as Enter during the boot, may have been taken for a name.
      if (++this.#tries > MAX_TRIES)
        throw new PynqLlmError('FIRMWARE_LOGIN_REFUSED', 'The board asks again and again who logs in.');
      this.#sendName(line, now);
    }
    if (prompt === 'password' && this.#state === 'named') this.#sendPassword(line, now);
  }

  /** Before a name was given: a line that waits may be a prompt. */
  #wake(line: string, now: number): void {
    const mayBeShell = isLikeShell(line) && !this.#noShells.has(line);
    const isPrompt = line !== '' && (line === this.#lineBefore || /[:：]$/u.test(line));
    this.#lineBefore = line;
    if (mayBeShell) this.#probe(line, now);
    else if (isPrompt && ++this.#tries <= MAX_TRIES) this.#sendName(line, now);
    else if (isPrompt || (line !== '' && ++this.#unknown > MAX_UNKNOWN)) this.#askPerson();
    else this.#transmit('\r', now);
  }

  /** After a name: another question is the one for the password; the same line again means that it was no login, or did not hear. */
  #named(plain: string, line: string, now: number): void {
    const isEcho = line === this.#user || line.endsWith(` ${this.#user}`);
    if (line === '' || isEcho) return;
    const isSame = line === this.#loginLine;
    // A shell says that it has no such command.
    const mayBeShell =
      !this.#noShells.has(line) && (isSame ? outputLines(plain).length > 2 : isLikeShell(line));
    if (mayBeShell) this.#probe(line, now);
    else if (isSame && ++this.#tries > MAX_TRIES) this.#askPerson();
    else if (isSame) this.#sendName(line, now);
    else {
      this.#passwordLine = line;
      this.#state = 'echo';
      this.#transmit(ECHO_PROBE, now);
    }
  }

  /** What is typed for a password is not shown, or by other signs. */
  #afterEcho(plain: string, now: number): void {
    const line = this.#passwordLine ?? '';
    const isShown = cursorLine(plain).includes(ECHO_PROBE);
    this.#transmit(ERASE, now);
    if (!isShown) this.#sendPassword(line, now);
    else if (this.#noShells.has(line)) this.#askPerson();
    else this.#probe(line, now);
  }

  #afterPassword(plain: string, line: string, quiet: number, now: number): void {
    const prompt = promptAt(plain, true);
    if (prompt === 'login' || (line !== '' && (line === this.#loginLine || line === this.#passwordLine)))
      throw this.#refused();
    if (prompt === 'password') throw this.#wantsNewPassword();
    if (line !== '' && !this.#noShells.has(line)) this.#probe(line, now);
    else if (quiet >= LOGIN_QUIET_MS) {
      if (line !== '' && ++this.#unknown > MAX_TRIES) this.#askPerson();
      else this.#transmit('\r', now);
    }
  }

  /** Runs a command, if what shows this line is a shell. */
  #probe(line: string, now: number, command = POSIX_PROBE): void {
    this.#probed = line;
    this.#state = 'probing';
    this.#isLastProbe = command === ANY_PROBE;
    this.#transmit(command, now);
  }

  /** Nothing ran the command: whoever took it for a name asks for a password, and none is given. */
  #afterProbe(plain: string, now: number): void {
    const line = cursorLine(plain);
    if (!this.#isLastProbe && (line === this.#probed || isLikeShell(line))) {
      this.#probe(this.#probed, now, ANY_PROBE);
      return;
    }
    this.#noShells.add(this.#probed);
    this.#lineBefore = this.#probed;
    this.#state = this.#passwordSent ? 'password' : 'waking';
    // Said at once, since a login waits seconds before it refuses.
    if (promptAt(plain) === 'login') this.#answer('login', line, now);
    else this.#transmit('\r', now);
  }

  #foundShell(): void {
    // A line that took a name for a command was a shell before.
    if (this.#probed === this.#loginLine) this.#loginLine = undefined;
    this.#state = 'in';
  }

  /** Whatever shell it is, it starts one whose language and prompt are known. */
  #enterShell(now: number): void {
    this.#foundShell();
    const isOurs = this.#passwordSent || this.#loginLine !== undefined;
    this.#nested = !isOurs;
    this.#state = 'entering';
    this.#transmit(` ${isOurs ? 'exec ' : ''}env PS1='$ ' ENV= sh\r`, now);
  }

  #sendName(line: string, now: number): void {
    this.#out.notice(`The board asks for a login; logging in as ${this.#user}.`);
    this.#loginLine = line;
    this.#state = 'named';
    this.#transmit(`${this.#user}\r`, now);
  }

  #sendPassword(line: string, now: number): void {
    // A board that asks twice has refused it, in whatever language.
    if (this.#passwordSent) throw this.#refused();
    this.#passwordLine = line;
    this.#passwordSent = true;
    this.#state = 'password';
    this.#transmit(`${this.#password}\r`, now);
  }

  #leaveBootLoader(now: number): void {
    if (this.#bootLoaderLeft)
      throw new PynqLlmError(
        'FIRMWARE_BOOT_FAILED',
        'The board stays in its boot loader: it finds nothing to boot.',
      );
    this.#bootLoaderLeft = true;
    this.#out.notice('The board waits in its boot loader; booting.');
    this.#transmit('boot\r', now);
  }

  #askPerson(): void {
    this.#state = 'asking';
    this.#out.ask(this.lastLines);
  }

  #transmit(text: string, now: number): void {
    this.#out.send(text);
    this.#before = (this.#before + this.#text).slice(-MAX_TEXT / 64);
    this.#text = '';
    this.#lastActivity = now;
  }

  #wantsNewPassword(): PynqLlmError {
    return new PynqLlmError(
      'FIRMWARE_LOGIN_REFUSED',
      `The image wants a new password for ${this.#user} at its first login.`,
      { remedy: 'Log in once with `pynq-llm console`, set it there, and run this again.' },
    );
  }

  #refused(): PynqLlmError {
    return new PynqLlmError(
      'FIRMWARE_LOGIN_REFUSED',
      `The board does not take this password for ${this.#user}.`,
      { context: { user: this.#user } },
    );
  }
}
