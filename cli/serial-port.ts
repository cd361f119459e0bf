import { type Command, Option } from 'commander';

/** Adds `--port` with its environment variable. */
export function withPort(command: Command): Command {
  return command.addOption(
    new Option('-p, --port <path>', "serial port; without it the one that looks like a board's").env(
      'PYNQ_LLM_PORT',
    ),
  );
}

/** The port that was named, or the only one that can be a board's. @throws PynqLlmError FIRMWARE_NO_SERIAL_PORT */
export async function serialPort(named: string | undefined): Promise<string> {
  if (named !== undefined) return named;
  const { chooseBoardPort, listSerialPorts } = await import('../sdk/board-setup.js');
  return chooseBoardPort(await listSerialPorts());
}
