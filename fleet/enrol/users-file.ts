import { keyPermissions, userEntry } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { BOARD_NAME } from '../../protocol/index.js';
import { boardRights } from '../rights.js';
import { accountsText } from './accounts.js';

// The list of who may enter a fleet's broker, as a file that nats-server's configuration includes.

/** A member whom the broker is told of. */
export interface Enrolled {
  /** `gateway` may do everything, `board` its own part. */
  readonly kind: 'gateway' | 'board';
  /** 1 to 63 lower-case letters, digits and "-"; of a board its name in the fleet. */
  readonly name: string;
  /** U…, which is no secret. */
  readonly publicKey: string;
}

const HEADER = `# Who may enter the fleet's broker. Written by \`pynq-llm fleet enrol\`, which reads the lines with "#@" and writes all the others anew.`;
const LINE = /^#@ (gateway|board) (\S+) (\S+)$/;
const PUBLIC_KEY = /^U[A-Z2-7]{55}$/;
/** Of thousands of members. */
const MOST_CHARACTERS = 4_194_304;

/** The members that a file names. @throws PynqLlmError FLEET_USERS_FILE where it is not such a file */
export function readUsers(text: string): Enrolled[] {
  if (!text.startsWith('# Who may enter the fleet') || text.length > MOST_CHARACTERS)
    throw bad('it was not written by `pynq-llm fleet enrol`, and would be lost');
  const members = text.split('\n').flatMap((line) => {
    if (!line.startsWith('#@')) return [];
    const [, kind, name = '', publicKey = ''] = LINE.exec(line.trimEnd()) ?? [];
    if (kind === undefined || !BOARD_NAME.test(name) || !PUBLIC_KEY.test(publicKey))
      throw bad(`the line "${line.slice(0, 120)}" cannot be read`);
    return [{ kind: kind === 'board' ? ('board' as const) : ('gateway' as const), name, publicKey }];
  });
  for (const of of ['name', 'publicKey'] as const)
    if (new Set(members.map((member) => member[of])).size < members.length)
      throw bad(`two of its members have the same ${of === 'name' ? 'name' : 'key'}`);
  return members;
}

/**
 * The whole file, each member with the rights that this version gives it.
 * @throws PynqLlmError FLEET_LAST_KEY: a broker whose list is empty lets everybody in
 */
export function writeUsers(members: readonly Enrolled[]): string {
  if (members.length === 0)
    throw new PynqLlmError('FLEET_LAST_KEY', 'Nobody would be left in the list of the broker.');
  const listOf = (kind: Enrolled['kind']) =>
    members
      .filter((member) => member.kind === kind)
      .map((member) => `#@ ${kind} ${member.name} ${member.publicKey}\n${entryOf(member)}\n`)
      .join('');
  return `${HEADER}\n${accountsText(listOf('gateway'), listOf('board'))}`;
}

/** A member's entry of the list. @throws PynqLlmError FLEET_BOARD_NAME, FLEET_KEY_INVALID */
export function entryOf({ kind, name, publicKey }: Enrolled): string {
  if (!BOARD_NAME.test(name))
    throw new PynqLlmError('FLEET_BOARD_NAME', `"${name.slice(0, 80)}" is no name of a board.`);
  if (!PUBLIC_KEY.test(publicKey))
    throw new PynqLlmError(
      'FLEET_KEY_INVALID',
      `"${publicKey.slice(0, 4)}…" is no public key of a user (U…).`,
    );
  return kind === 'gateway'
    ? `{ nkey: ${publicKey} }`
    : userEntry(publicKey, keyPermissions(boardRights(name)));
}

/**
 * The members with one more; the same ones where it is there.
 * @throws PynqLlmError FLEET_BOARD_NAME, FLEET_KEY_INVALID, FLEET_ENROLLED where its name or its key is another's
 */
export function enrol(members: readonly Enrolled[], member: Enrolled): readonly Enrolled[] {
  entryOf(member);
  const { kind, name, publicKey } = member;
  const namesake = members.find((one) => one.name === name);
  if (namesake !== undefined && (namesake.publicKey !== publicKey || namesake.kind !== kind))
    throw new PynqLlmError('FLEET_ENROLLED', `The ${namesake.kind} ${name} is enrolled with another key.`, {
      context: { name },
    });
  const other = members.find((one) => one.publicKey === publicKey && one.name !== name);
  if (other !== undefined)
    throw new PynqLlmError('FLEET_ENROLLED', `The key is that of the ${other.kind} ${other.name}.`, {
      context: { name: other.name },
    });
  return namesake === undefined ? [...members, member] : members;
}

/** The members without one. @throws PynqLlmError FLEET_BOARD_UNKNOWN */
export function withdraw(members: readonly Enrolled[], name: string): readonly Enrolled[] {
  const left = members.filter((one) => one.name !== name);
  if (left.length < members.length) return left;
  throw new PynqLlmError('FLEET_BOARD_UNKNOWN', `Nobody is enrolled as "${name.slice(0, 80)}".`, {
    context: { name: name.slice(0, 80) },
  });
}

function bad(why: string): PynqLlmError {
  return new PynqLlmError('FLEET_USERS_FILE', `The list of the broker's members cannot be changed: ${why}.`);
}
