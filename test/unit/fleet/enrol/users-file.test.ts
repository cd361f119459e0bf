import { describe, expect, it } from 'vitest';
import { type Enrolled, enrol, entryOf, readUsers, withdraw, writeUsers } from '../../../../fleet/index.js';

const keyOf = (letter: string) => `U${letter.repeat(55)}`;
const GATEWAY: Enrolled = { kind: 'gateway', name: 'gateway', publicKey: keyOf('A') };
const BOARD: Enrolled = { kind: 'board', name: 'shelf-1', publicKey: keyOf('B') };

describe("the list of a broker's members", () => {
  it('is read as it was written', () => {
    expect(readUsers(writeUsers([GATEWAY, BOARD]))).toEqual([GATEWAY, BOARD]);
    expect(writeUsers([GATEWAY])).toContain(`\n{ nkey: ${GATEWAY.publicKey} }\n`);
  });

  it('has of a board only what is its own', () => {
    const entry = entryOf(BOARD);
    expect(entry).toContain('"FLEET_LOG.tok.shelf-1.*"');
    expect(entry).toContain('"$KV.FLEET_BOARDS.shelf-1"');
    // Plans it reads, and writes none.
    expect(/publish: \{(.+)\}/.exec(entry)![1]).not.toContain('$KV.FLEET_PLANS');
    for (const subject of entry.match(/"[^"]+"/g)!)
      expect(subject).toMatch(/shelf-1|^"FLEET\.(model|piece)"$|^"11m"$|FLEET_PLANS/);
  });

  it('is never empty, since such a broker lets everybody in', () => {
    expect(() => writeUsers([])).toThrow('FLEET_LAST_KEY');
    expect(() => writeUsers(withdraw([BOARD], 'shelf-1'))).toThrow('FLEET_LAST_KEY');
  });

  it('takes a member once, and no name or key twice', () => {
    const members = [GATEWAY, BOARD];
    expect(enrol(members, { ...BOARD })).toBe(members);
    for (const other of [
      { ...BOARD, publicKey: keyOf('C') },
      { ...BOARD, name: 'shelf-2' },
      { ...BOARD, kind: 'gateway' as const },
      { ...GATEWAY, kind: 'board' as const },
    ])
      expect(() => enrol(members, other)).toThrow('FLEET_ENROLLED');
    expect(() => withdraw(members, 'shelf-2')).toThrow('FLEET_BOARD_UNKNOWN');
  });

  it('takes no names or keys that would say more in the configuration, and shows no seed', () => {
    for (const name of ['', 'A', 'a.b', '*', 'a b', 'a"', 'a\n', '-a', 'a'.repeat(64)])
      expect(() => enrol([], { ...BOARD, name })).toThrow('FLEET_BOARD_NAME');
    const seed = `SU${'A'.repeat(56)}`;
    for (const publicKey of ['', 'U', `${keyOf('B')} }`, keyOf('B').toLowerCase(), seed])
      expect(() => enrol([], { ...BOARD, publicKey })).toThrow('FLEET_KEY_INVALID');
    expect(() => enrol([], { ...BOARD, publicKey: seed })).not.toThrow(seed);
  });

  it('is refused where it is another file, or says what it cannot', () => {
    const text = writeUsers([GATEWAY, BOARD]);
    for (const bad of [
      '',
      'users: [ { user: me, password: secret } ]\n',
      text.replace('#@ board', '#@ king'),
      text.replace('shelf-1 U', 'shelf-1 V'),
      `${text}#@ board shelf-1 ${keyOf('C')}\n`,
      `${text}#@ board shelf-2 ${keyOf('B')}\n`,
    ])
      expect(() => readUsers(bad)).toThrow('FLEET_USERS_FILE');
  });
});
