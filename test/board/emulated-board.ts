import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../system/support/free-port.js';
import type { BoardImage } from './board-image.js';
import { run } from './run.js';

const BOOT_ARGUMENTS =
  'console=ttyPS0,115200 root=/dev/mmcblk0 rw rootwait uio_pdrv_genirq.of_id=generic-uio';
const POLL_MS = 100;
/** Of a second, as /proc counts it. */
const CLOCK_TICKS = 100;

/** How a board differs from the image. */
export interface BoardOptions {
  readonly deviceTree?: string;
  /** More of the kernel's command line. */
  readonly bootArguments?: string;
  /** A raw file, a power of two in bytes, that is its second card: `/dev/mmcblk1` where the device tree has one. */
  readonly secondCard?: string;
}

/** A PYNQ-Z1 in QEMU: its UART is a pseudo terminal, its SSH server a port of loopback, its SD card a throw-away copy. */
export class EmulatedBoard implements AsyncDisposable {
  /** The UART's pseudo terminal, such as `/dev/pts/3`: what a USB cable would be on a real board. */
  readonly console: string;
  /** The port of 127.0.0.1 behind which the board's SSH server is. */
  readonly sshPort: number;
  readonly #qemu: ChildProcess;
  readonly #log: string;

  private constructor(qemu: ChildProcess, console: string, sshPort: number, log: string) {
    this.#qemu = qemu;
    this.console = console;
    this.sshPort = sshPort;
    this.#log = log;
  }

  /** Switches a board on. `folder` receives the changes of its card and the log of its console. */
  static async start(
    image: BoardImage,
    folder: string,
    { deviceTree = image.deviceTree, bootArguments = '', secondCard }: BoardOptions = {},
  ): Promise<EmulatedBoard> {
    const card = join(folder, 'card.qcow2');
    const log = join(folder, 'console.log');
    if (!existsSync(card)) {
      const args = ['create', '-q', '-f', 'qcow2', '-b', image.card, '-F', 'raw', card];
      await run('qemu-img', args, { timeoutMs: 60_000 });
    }
    const sshPort = await freePort();
    const qemu = spawn(
      'setpriv',
      [
        // A suite that is killed takes its board along: it cannot switch it off any more.
        ...['--pdeathsig', 'KILL', 'qemu-system-arm'],
        ...['-M', 'xilinx-zynq-a9', '-m', '512', '-kernel', image.kernel, '-dtb', deviceTree],
        ...['-append', `${BOOT_ARGUMENTS} ${bootArguments}`, '-drive', `if=sd,format=qcow2,file=${card}`],
        ...(secondCard === undefined ? [] : ['-drive', `if=sd,index=1,format=raw,file=${secondCard}`]),
        ...['-nic', `user,hostfwd=tcp:127.0.0.1:${sshPort}-:22`],
        ...['-chardev', `pty,id=uart,logfile=${log},logappend=on`, '-serial', 'chardev:uart'],
        ...['-display', 'none', '-monitor', 'none'],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new EmulatedBoard(qemu, await ptyOf(qemu), sshPort, log);
  }

  /** All that the board has written to its console, over all its boots. */
  consoleLog(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : '';
  }

  /** The length of {@link consoleLog} now, to wait for what comes after it. */
  consolePosition(): number {
    return this.consoleLog().length;
  }

  /** Waits until the console shows `pattern` after position `from`; returns the seconds it took. */
  async waitForConsole(pattern: RegExp, timeoutMs: number, from = 0): Promise<number> {
    const started = performance.now();
    for (;;) {
      const text = this.consoleLog().slice(from);
      if (pattern.test(text)) return (performance.now() - started) / 1000;
      const why = this.#qemu.exitCode !== null ? 'QEMU has ended' : 'it is late';
      if (this.#qemu.exitCode !== null || performance.now() - started > timeoutMs)
        throw new Error(`The console does not show ${pattern}: ${why}. It ends with:\n${text.slice(-2_000)}`);
      await delay(POLL_MS);
    }
  }

  /** Memory that QEMU itself takes on this machine, in bytes. */
  hostMemory(): number {
    const status = readFileSync(`/proc/${this.#qemu.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Seconds that this machine's processors have spent on the board, however long they were busy with something else. */
  cpuSeconds(): number {
    const [utime, stime] = readFileSync(`/proc/${this.#qemu.pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
      .slice(11, 13);
    return (Number(utime) + Number(stime)) / CLOCK_TICKS;
  }

  /** Bytes that the board has changed on its card. */
  cardChanges(): number {
    return statSync(join(this.#log, '..', 'card.qcow2')).blocks * 512;
  }

  /** Pulls the plug. */
  async stop(): Promise<void> {
    if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null) return;
    const exit = once(this.#qemu, 'exit');
    this.#qemu.kill('SIGKILL');
    await exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** QEMU says on standard output which pseudo terminal it has opened. */
async function ptyOf(qemu: ChildProcess): Promise<string> {
  let said = '';
  qemu.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  qemu.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  for (let waited = 0; waited < 20_000; waited += POLL_MS) {
    const name = /char device redirected to (\/dev\/\S+)/.exec(said)?.[1];
    if (name !== undefined) return name;
    if (qemu.exitCode !== null) break;
    await delay(POLL_MS);
  }
  qemu.kill('SIGKILL');
  throw new Error(`QEMU opened no console: ${said}`);
}
