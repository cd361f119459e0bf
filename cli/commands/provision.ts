import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { harmless, harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { BootHelp, ProvisionResult, WaitingFor } from '../../sdk/board-setup.js';
import { rememberProvisioned } from '../boards/provisioned.js';
import { readFile } from '../files.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { askSecret, passwordFromStdin } from '../secret.js';
import { serialPort, withPort } from '../serial-port.js';
import { withInterrupt } from '../session.js';
import { askLine } from '../terminal-prompts.js';

interface ProvisionOptions {
  readonly port?: string;
  readonly user: string;
  readonly key?: string;
  readonly passwordStdin?: boolean;
  readonly hostName?: string;
  readonly staticAddress?: string;
  readonly bootLog?: boolean;
  readonly board?: string;
  readonly json?: boolean;
}

const USUAL_KEYS = ['id_ed25519.pub', 'id_ecdsa.pub', 'id_rsa.pub'];

/** `provision`: makes a board ready for SSH over its serial console. */
export function provisionCommand(): Command {
  const command = new Command('provision')
    .description(
      "Over the board's serial console: follow its boot, log in, install your SSH key, read its address and host keys.",
    )
    .option('-u, --user <name>', "user of the image: xilinx on PYNQ's, ubuntu on Kria's", 'xilinx')
    .option('-k, --key <file>', 'SSH public key to install; without it the first of ~/.ssh/id_*.pub')
    .option('--password-stdin', 'read the password from standard input instead of asking for it')
    .option('--host-name <name>', 'give the board this host name')
    .option('--static-address <address/prefix>', 'give it this address as well, such as 192.168.2.99/24')
    .option('-b, --board <name>', 'a shipped board or a .toml file: says how to boot it for its DMA memory')
    .option('--boot-log', 'show what the board writes');
  return withJson(withPort(command), 'one JSON object').action(async (options: ProvisionOptions) => {
    const { provisionBoard, bootHelp } = await import('../../sdk/board-setup.js');
    // A wrong name ends it here, not after minutes at the console.
    const boot = options.board === undefined ? undefined : bootHelp(options.board);
    const publicKey = readFile(options.key ?? usualKey()).toString('utf8');
    const port = await serialPort(options.port);
    const password = options.passwordStdin
      ? passwordFromStdin()
      : await askSecret(`Password of ${options.user} on the board: `);
    await withInterrupt(async (signal) => {
      const { user, hostName, staticAddress } = options;
      const request = {
        user,
        password,
        publicKey,
        ...(hostName !== undefined && { hostName }),
        ...(staticAddress !== undefined && { staticAddress }),
      };
      const result = await provisionBoard(request, {
        port,
        signal,
        onNotice: (text) => noteText(`${harmless(text)}\n`),
        onQuestion: askPerson,
        ...(options.bootLog && { onBytes: (bytes: Uint8Array) => process.stderr.write(bytes) }),
      });
      rememberProvisioned(user, result);
      const answer = { ...result, ...(boot && { boot }) };
      printText(options.json ? `${harmlessJson(answer)}\n` : `${describe(result, user, boot)}\n`);
    });
  });
}

const ANSWERS: Readonly<Record<string, WaitingFor>> = {
  l: 'login',
  p: 'password',
  s: 'shell',
  w: 'nothing',
};

/** Shows the board's last lines to whoever sits at the terminal, who says what they are. */
async function askPerson(lines: readonly string[]): Promise<WaitingFor | undefined> {
  noteText(`The board shows:\n${lines.map((line) => `  ${harmless(line)}\n`).join('')}`);
  for (;;) {
    const answer = await askLine(
      'It waits for a (l)ogin name, the (p)assword, a (s)hell command, or for nothing yet: (w)ait. Which? ',
    );
    if (answer === undefined) return undefined;
    const waitingFor = ANSWERS[answer.trim().toLowerCase().slice(0, 1)];
    if (waitingFor !== undefined) return waitingFor;
  }
}

function usualKey(): string {
  const folder = join(homedir(), '.ssh');
  const found = USUAL_KEYS.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found) return found;
  throw new PynqLlmError('CLI_BAD_ARGUMENT', `There is no SSH key in ${folder}: ${USUAL_KEYS.join(', ')}.`, {
    remedy: 'Make one with `ssh-keygen -t ed25519`, or name a public key with --key.',
  });
}

function describe(result: ProvisionResult, user: string, boot: BootHelp | undefined): string {
  const { hostName, machine, kernel, addresses, hostKeys, keyWasThere } = result;
  return formatFacts([
    ['board', hostName],
    ['machine', `${machine}, Linux ${kernel}`],
    ...addresses.map((a) => ['address', `${a.address} on ${a.interface}`] as const),
    ...hostKeys.map(({ type, fingerprint }) => ['host key', `${fingerprint} ${type}`] as const),
    ['SSH key', keyWasThere ? 'was installed before' : 'installed'],
    ...(boot === undefined ? [] : [['memory', boot.text] as const]),
    ['next', `pynq-llm deploy ${user}@${addresses[0]?.address ?? 'ADDRESS'}`],
  ]);
}
