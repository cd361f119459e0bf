import { PynqLlmError } from '../errors/index.js';
import type { DeployFleet, SshOptions } from '../sdk/index.js';
import { changeUsers } from './broker-users.js';

/** What `deploy` was told of a fleet. */
export interface FleetDeployFlags {
  readonly fleet?: string | false;
  readonly fleetName?: string;
  readonly fleetFingerprint?: string;
  readonly fleetUsers?: string;
  readonly fleetPidFile?: string;
  readonly fleetBroker?: string;
}

/** @param place what the board was called on the command line @param login how one logs in where the broker runs */
export function fleetOf(
  flags: FleetDeployFlags,
  place: string,
  login: SshOptions,
): DeployFleet | false | undefined {
  const { fleet: url, fleetName, fleetFingerprint: fingerprint } = flags;
  if (url === undefined || url === false) return url;
  const name = fleetName ?? place;
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      `"${name.slice(0, 80)}" is no name of a board in a fleet: give 1 to 63 lower-case letters, digits and "-" as --fleet-name.`,
    );
  return { url, name, fingerprint, enrol: (publicKey) => enrolAt(flags, name, publicKey, login) };
}

/** For people: what was done, or is still to be done, so that the broker lets the board in. */
export function enrolHow(
  { fleetUsers, fleetBroker }: FleetDeployFlags,
  { name, url }: DeployFleet,
  publicKey: string,
): string {
  if (fleetUsers !== undefined || fleetBroker !== undefined) return `${name} at ${url}`;
  return `${name} at ${url}, once \`pynq-llm fleet enrol ${name} ${publicKey}\` was run where the broker runs`;
}

async function enrolAt(
  { fleetUsers: file, fleetPidFile: pidFile, fleetBroker }: FleetDeployFlags,
  name: string,
  publicKey: string,
  login: SshOptions,
): Promise<void> {
  if (file !== undefined) {
    const { enrol } = await import('../fleet/index.js');
    await changeUsers({ file, pidFile }, (members) => enrol(members, { kind: 'board', name, publicKey }));
  }
  if (fleetBroker === undefined) return;
  const { openSsh, parseSshTarget } = await import('../sdk/index.js');
  // The pinned host key and the password are the board's.
  const { prompts, signal } = login;
  await using broker = await openSsh(parseSshTarget(fleetBroker), { prompts, signal });
  // Both were checked: they are one word each for any shell.
  const command = `pynq-llm fleet enrol ${name} ${publicKey}`;
  const asRoot = `if [ "$(id -u)" = 0 ]; then ${command}; else sudo -n ${command}; fi`;
  const { status, stderr } = await broker.exec(`sh -c '${asRoot}'`);
  if (status !== 0)
    throw new PynqLlmError(
      'SSH_COMMAND_FAILED',
      `${broker.place} could not enrol the board: ${stderr.trim().split('\n').at(-1)?.slice(0, 400) ?? ''}.`,
      { context: { status: status ?? -1 }, remedy: `Run \`${command}\` there.` },
    );
}
