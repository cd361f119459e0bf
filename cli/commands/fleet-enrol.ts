import { Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { Enrolled } from '../../fleet/index.js';
import { type BrokerUsers, changeUsers, USERS_FILE, usersOf } from '../broker-users.js';
import { withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';

/** `fleet key`: a member's key, made where it will be used. */
export function fleetKeyCommand(): Command {
  return new Command('key')
    .description(
      'Print the public key of a file with the seed of an nkey, which is made (mode 0600) where it is not there. The seed stays where it is.',
    )
    .argument('<file>', 'for --bus-creds of the gateway, or --fleet-creds of a board')
    .action(async (file: string) => {
      const { ownKey } = await import('../../bus/index.js');
      printText(`${await ownKey(file)}\n`);
    });
}

interface EnrolFlags {
  readonly users: string;
  readonly pidFile?: string;
  readonly gateway?: boolean;
  readonly remove?: boolean;
  readonly print?: boolean;
  readonly json?: boolean;
}

/** `fleet enrol`: who may enter the fleet's broker. */
export function fleetEnrolCommand(): Command {
  const command = withUsersFile(new Command('enrol'))
    .description(
      "Let a board enter the fleet's broker, with the rights of its name alone: writes the list that nats-server's configuration includes, and has nats-server read it. Runs where the broker runs. Without a name it prints the list.",
    )
    .argument('[name]', 'of the board in its fleet')
    .argument('[publicKey]', 'U…, as `deploy --fleet` or `fleet key` printed it')
    .option('--gateway', 'the key is a gateway’s, which may do everything on the broker')
    .option('--remove', 'withdraw the key of that name: who shows it is thrown out at once')
    .option('--print', 'print the entry instead, for a configuration that is kept otherwise');
  return withJson(command, 'of the list: one JSON list').action(
    async (name: string | undefined, publicKey: string | undefined, flags: EnrolFlags) => {
      const { gateway, remove, print, json } = flags;
      if (name === undefined) return list(flags, json);
      if ((publicKey === undefined) !== (remove === true))
        throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Give a name and a public key, or a name and --remove.');
      const { enrol, entryOf, withdraw } = await import('../../fleet/index.js');
      if (publicKey === undefined) {
        await changeUsers(flagged(flags), (members) => withdraw(members, name));
        return printText(`${name} may not enter the broker any more\n`);
      }
      const member: Enrolled = { kind: gateway ? 'gateway' : 'board', name, publicKey };
      if (print) return printText(`${entryOf(member)}\n`);
      const changed = await changeUsers(flagged(flags), (members) => enrol(members, member));
      printText(`${name} may enter the broker${changed ? '' : ': it was enrolled before'}\n`);
    },
  );
}

/** `--users` and `--pid-file`. */
export function withUsersFile(command: Command): Command {
  return command
    .option('--users <file>', "the list that nats-server's configuration includes", USERS_FILE)
    .option('--pid-file <file>', "nats-server's pid_file, where systemd does not run it");
}

function flagged({ users, pidFile }: EnrolFlags): BrokerUsers {
  return { file: users, pidFile };
}

async function list(flags: EnrolFlags, json: boolean | undefined): Promise<void> {
  const members = await usersOf(flagged(flags));
  if (json) return printText(`${harmlessJson(members)}\n`);
  const rows = members.map(({ kind, name, publicKey }) => [name, kind, publicKey]);
  const headings = ['name', 'is', 'public key'].map((heading) => ({ heading }));
  printText(`${rows.length === 0 ? 'nobody is enrolled' : formatTable(headings, rows)}\n`);
}
