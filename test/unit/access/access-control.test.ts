import { describe, expect, it } from 'vitest';
import { AccessControl } from '../../../access/access-control.js';
import { TestClock } from '../protocol/test-clock.js';

const TOKENS = { read: 'token-of-the-reader', admin: 'token-of-the-administrator' };

function roleOrCode(access: AccessControl, token: string | undefined, address = 'a'): string {
  try {
    return access.admit(token, address).role;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

describe('access control', () => {
  it('gives everybody the role admin where there are no tokens', () => {
    expect(roleOrCode(new AccessControl({}, new TestClock()), undefined)).toBe('admin');
  });

  it('gives the role of the token', () => {
    const access = new AccessControl(TOKENS, new TestClock());
    expect(roleOrCode(access, TOKENS.read)).toBe('read');
    expect(roleOrCode(access, TOKENS.admin)).toBe('admin');
    expect(roleOrCode(access, `${TOKENS.admin} `)).toBe('AGENT_UNAUTHORISED');
  });

  it('makes shares of tokens by their names and divides them by address, or makes them of addresses where there are no tokens', () => {
    const tokens = [
      { role: 'infer', token: 'token-of-the-first-user', name: 'ann' },
      { role: 'infer', token: 'token-of-the-second-user', name: 'bob' },
      { role: 'infer', token: 'token-of-all-the-others' },
    ] as const;
    const access = new AccessControl(tokens, new TestClock());
    expect(tokens.map(({ token }) => access.admit(token, '::ffff:10.0.0.9'))).toEqual([
      { role: 'infer', share: ['ann', '10.0.0.9'], tokenName: 'ann' },
      { role: 'infer', share: ['bob', '10.0.0.9'], tokenName: 'bob' },
      { role: 'infer', share: ['infer', '10.0.0.9'], tokenName: 'infer' },
    ]);
    const open = new AccessControl({}, new TestClock());
    expect(open.admit('any', '2001:db8::1:2:3').share).toEqual(['2001:db8:0:0::/64']);
    expect(open.admit(undefined, '2001:db8::ffff:0:3').share).toEqual(['2001:db8:0:0::/64']);
  });

  it('refuses two tokens of one name, and one token under two names', () => {
    const token = 'token-of-somebody-else';
    const same = (...names: (string | undefined)[]) =>
      new AccessControl(names.map((name, i) => ({ role: 'infer', token: `${token}-${i}`, name })));
    expect(() => same('ann', 'ann')).toThrow(/have the name ann/);
    expect(() => same(undefined, undefined)).toThrow(/have the name infer/);
    const twice = ['ann', 'bob'].map((name) => ({ role: 'infer' as const, token, name }));
    expect(() => new AccessControl(twice)).toThrow(/there twice/);
  });

  it('closes the door to an address after five wrong tokens, for a minute, and to no other', () => {
    const clock = new TestClock();
    const access = new AccessControl(TOKENS, clock);
    for (let i = 0; i < 5; i++) expect(roleOrCode(access, 'wrong')).toBe('AGENT_UNAUTHORISED');
    expect(roleOrCode(access, TOKENS.admin)).toBe('AGENT_TOO_MANY_ATTEMPTS');
    expect(roleOrCode(access, TOKENS.admin, 'b')).toBe('admin');
    clock.advance(60_001);
    expect(roleOrCode(access, TOKENS.admin)).toBe('admin');
  });

  it('lets each further wrong token wait twice as long, up to an hour', () => {
    const clock = new TestClock();
    const access = new AccessControl(TOKENS, clock);
    for (let i = 0; i < 4; i++) roleOrCode(access, 'wrong');
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      expect(roleOrCode(access, 'wrong')).toBe('AGENT_UNAUTHORISED');
      let seconds = 0;
      while (roleOrCode(access, TOKENS.admin) === 'AGENT_TOO_MANY_ATTEMPTS') {
        clock.advance(30_000);
        seconds += 30;
      }
      waits.push(seconds);
    }
    expect(waits).toEqual([60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
  });

  it('begins anew with an address that was quiet for an hour', () => {
    const clock = new TestClock();
    const access = new AccessControl(TOKENS, clock);
    for (let i = 0; i < 4; i++) roleOrCode(access, 'wrong');
    clock.advance(3_600_001);
    for (let i = 0; i < 4; i++) roleOrCode(access, 'wrong');
    expect(roleOrCode(access, TOKENS.admin)).toBe('admin');
  });

  it('forgives no guesses for a right token of a lesser role', () => {
    const access = new AccessControl(TOKENS, new TestClock());
    for (let i = 0; i < 5; i++) {
      expect(roleOrCode(access, TOKENS.read)).toBe('read');
      roleOrCode(access, `guess ${i}`);
    }
    expect(roleOrCode(access, TOKENS.read)).toBe('AGENT_TOO_MANY_ATTEMPTS');
  });

  it('takes a missing token for no guess', () => {
    const access = new AccessControl(TOKENS, new TestClock());
    for (let i = 0; i < 20; i++) expect(roleOrCode(access, undefined)).toBe('AGENT_UNAUTHORISED');
    expect(roleOrCode(access, TOKENS.admin)).toBe('admin');
  });

  it.each([
    ['fe80::1:2:3:4%eth0', 'fe80::9:9:9:9%eth0'],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
  ])('counts %s and %s as one place', (first, second) => {
    const access = new AccessControl(TOKENS, new TestClock());
    for (let i = 0; i < 5; i++) roleOrCode(access, 'wrong', first);
    expect(roleOrCode(access, TOKENS.admin, second)).toBe('AGENT_TOO_MANY_ATTEMPTS');
  });

  it.each([
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
    ['2001:db8::1', '2001:db8:0:1::1'],
    ['192.0.2.1', '192.0.2.2'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.2'],
    ['unix socket', '127.0.0.1'],
  ])('counts %s and %s as two places', (first, second) => {
    const access = new AccessControl(TOKENS, new TestClock());
    for (let i = 0; i < 5; i++) roleOrCode(access, 'wrong', first);
    expect(roleOrCode(access, TOKENS.admin, second)).toBe('admin');
  });

  it('remembers a bounded number of addresses', () => {
    const access = new AccessControl(TOKENS, new TestClock());
    for (let i = 0; i < 5; i++) roleOrCode(access, 'wrong', 'first');
    for (let i = 0; i < 1_024; i++) roleOrCode(access, 'wrong', `other ${i}`);
    expect(roleOrCode(access, 'wrong', 'first')).toBe('AGENT_UNAUTHORISED');
  });

  it('refuses a token of less than 16 characters', () => {
    expect(() => new AccessControl({ admin: '123456789012345' }, new TestClock())).toThrow(
      'AGENT_TOKEN_INVALID',
    );
  });
});
