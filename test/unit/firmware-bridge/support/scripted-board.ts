import { checkRequest, type ProvisionRequest } from '../../../../firmware-bridge/provision/request.js';
import { ProvisionSession, type ProvisionStep } from '../../../../firmware-bridge/provision/session.js';

export const PASSWORD = 'correct horse';
export const PUBLIC_KEY =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@laptop';

/** How a scripted board behaves. */
export interface BoardScript {
  /** What it writes by itself, at these milliseconds. */
  readonly boot?: readonly (readonly [number, string])[];
  /** It is logged in already. */
  readonly autologin?: boolean;
  readonly password?: string;
  /** Answers by the program's name, in the order of their use; the last stays. */
  readonly answers?: Readonly<Record<string, readonly string[]>>;
  /** Written between the lines of every output, as the kernel does. */
  readonly kernelLine?: string;
  /** It waits in U-Boot. */
  readonly bootLoader?: boolean;
}

const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  id: ['xilinx\narmv7l\n5.15.19-xilinx\npynq'],
  '(umask': ['added'],
  sudo: [''],
  cat: [`${PUBLIC_KEY}`],
  ip: ['[{"ifname":"eth0","addr_info":[{"family":"inet","local":"192.168.2.99","scope":"global"}]}]'],
  hostname: ['bench-7'],
};

/** A board's console as a getty and a shell make it: echo, prompts, CR LF. Takes what is sent, returns what it writes. */
class ScriptedBoard {
  readonly #script: BoardScript;
  readonly #used = new Map<string, number>();
  #state: 'off' | 'boot-loader' | 'login' | 'password' | 'shell' | 'sudo';
  #typed = '';
  #afterSudo = '';
  sent = '';

  constructor(script: BoardScript) {
    this.#script = script;
    this.#state = script.bootLoader
      ? 'boot-loader'
      : script.boot
        ? 'off'
        : script.autologin
          ? 'shell'
          : 'login';
  }

  /** The board has booted: it asks for a login. */
  up(): void {
    this.#state = this.#script.autologin ? 'shell' : 'login';
  }

  type(text: string): string {
    this.sent += text;
    let output = '';
    for (const character of text) {
      if (this.#state !== 'password' && this.#state !== 'sudo')
        output += character === '\r' ? '\r\n' : character;
      if (character !== '\r') this.#typed += character;
      else output += this.#enter();
    }
    return output;
  }

  #enter(): string {
    const line = this.#typed;
    this.#typed = '';
    switch (this.#state) {
      case 'off':
        return '';
      case 'boot-loader':
        return line === 'boot' ? '' : 'Zynq> ';
      case 'login':
        if (line === '') return 'pynq login: ';
        this.#state = 'password';
        return 'Password: ';
      case 'password': {
        const right = line === (this.#script.password ?? PASSWORD);
        this.#state = right ? 'shell' : 'login';
        return right
          ? '\r\nWelcome to PYNQ\r\n\x1b[?2004h\x1b[0mxilinx@pynq:~$ '
          : '\r\nLogin incorrect\r\npynq login: ';
      }
      case 'sudo':
        if (line !== (this.#script.password ?? PASSWORD)) return '\r\nSorry, try again.\r\nPL-PASS:';
        this.#state = 'shell';
        return this.#afterSudo;
      case 'shell':
        return this.#run(line);
    }
  }

  #run(line: string): string {
    const [, mark, command] = /'<<' '(PL-\d+-\d+)'; (.*); printf .* "\$\?"$/.exec(line) ?? [];
    if (!mark || !command) return 'xilinx@pynq:~$ ';
    const program = command.split(/[ ;]/)[0]!;
    const answers = this.#script.answers?.[program] ?? ANSWERS[program] ?? ['command not found'];
    const use = this.#used.get(program) ?? 0;
    this.#used.set(program, use + 1);
    const output = (answers[Math.min(use, answers.length - 1)] ?? '').split('\n').join('\r\n');
    const noise = this.#script.kernelLine ? `\r\n${this.#script.kernelLine}\r\n` : '\r\n';
    const status = output.includes('FAILED') ? 1 : 0;
    const result = `\r\n<<${mark}${noise}${output}\r\n\r\n>>${mark} ${status}\r\n\x1b[?2004hxilinx@pynq:~$ `;
    if (program !== 'sudo') return result;
    this.#state = 'sudo';
    this.#afterSudo = result;
    return `\r\n<<${mark}\r\nPL-PASS:`;
  }
}

/** Runs a session against a scripted board in simulated time, `chunk` bytes at a time. */
export function runSession(script: BoardScript, changes: Partial<ProvisionRequest> = {}, chunk = 7) {
  const request = { user: 'xilinx', password: PASSWORD, publicKey: PUBLIC_KEY, ...changes };
  const session = new ProvisionSession(checkRequest(request), 0);
  const board = new ScriptedBoard(script);
  const notices: string[] = [];
  const boot = [...(script.boot ?? [])];
  for (let now = 0; now < 600_000; now += 100) {
    const outputs: string[] = [];
    while (boot.length > 0 && boot[0]![0] <= now) {
      outputs.push(boot.shift()![1]);
      if (boot.length === 0) board.up();
    }
    const steps: ProvisionStep[] = [session.elapse(now)];
    for (;;) {
      const step = steps.shift();
      if (!step) {
        const output = outputs.shift();
        if (output === undefined) break;
        const bytes = Buffer.from(output, 'latin1');
        for (let at = 0; at < bytes.length; at += chunk)
          steps.push(session.receive(bytes.subarray(at, at + chunk), now));
        continue;
      }
      notices.push(...step.notices);
      const written = step.send ? board.type(step.send) : '';
      if (step.error) return { error: step.error, notices, sent: board.sent, now };
      if (step.result) return { result: step.result, notices, sent: board.sent, now };
      if (written) outputs.push(written);
    }
  }
  throw new Error('the session neither ended nor failed');
}
