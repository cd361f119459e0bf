import { closeSync, openSync, writeSync } from 'node:fs';
import { Command } from 'commander';
import { PynqLlmError } from '../../errors/index.js';
import { EXIT } from '../exit.js';
import { serialPort, withPort } from '../serial-port.js';

interface ConsoleOptions {
  readonly port?: string;
  readonly log?: string;
}

/** Leaves the console, as in telnet: a key that no program on the board needs. */
const CTRL_RIGHT_BRACKET = 0x1d;

/** `console`: a terminal on the board's UART. */
export function consoleCommand(): Command {
  const command = new Command('console')
    .description(
      "A terminal on the board's serial console: 115200 baud, Ctrl-] leaves it. Survives unplugging.",
    )
    .option('--log <file>', 'append everything that the board writes to a file');
  return withPort(command).action(async (options: ConsoleOptions) => {
    const { SerialConsole } = await import('../../sdk/board-setup.js');
    const path = await serialPort(options.port);
    const log = options.log === undefined ? undefined : openLog(options.log);
    const note = (text: string) => process.stderr.write(`\r\n[pynq-llm: ${text}]\r\n`);
    const board = new SerialConsole({
      path,
      onBytes: (bytes) => {
        process.stdout.write(bytes);
        if (log !== undefined) writeSync(log, bytes);
      },
      onNotice: note,
    });
    await board.start();
    note(`${path} is open; Ctrl-] leaves.`);
    process.removeAllListeners('SIGINT');
    try {
      await typeInto((bytes) => board.send(bytes));
    } finally {
      await board.close();
      if (log !== undefined) closeSync(log);
      process.stderr.write('\r\n');
    }
  });
}

/** Passes on what is typed, until Ctrl-]. Without a terminal also Ctrl-C ends it, which otherwise goes to the board. */
async function typeInto(send: (bytes: Uint8Array) => void): Promise<void> {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  try {
    await new Promise<void>((resolve) => {
      process.once('SIGINT', () => {
        process.exitCode = EXIT.interrupted;
        resolve();
      });
      process.once('SIGTERM', resolve);
      stdin.on('data', (bytes: Buffer) => {
        const end = bytes.indexOf(CTRL_RIGHT_BRACKET);
        if (end !== 0) send(end < 0 ? bytes : bytes.subarray(0, end));
        if (end >= 0) resolve();
      });
    });
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }
}

function openLog(file: string): number {
  try {
    return openSync(file, 'a', 0o600);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('CLI_FILE_UNWRITABLE', `${file} cannot be written: ${why}.`, { cause });
  }
}
