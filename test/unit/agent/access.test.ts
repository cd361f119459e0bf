import { describe, expect, it } from 'vitest';
import { AccessControl } from '../../../agent/access.js';
import { TestClock } from '../protocol/test-clock.js';

const TOKENS = { read: 'token-of-the-reader', admin: 'token-of-the-administrator' };

function roleOrCode(access: AccessControl, token: string | undefined, address = 'a'): string {
  try {
    return access.admit(token, address);
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

  it('closes the door to an address after five wrong tokens, for a minute, and to no other', () => {
    const clock = new TestClock();
    const access = new AccessControl(TOKENS, clock);
    for (let i = 0; i < 5; i++) expect(roleOrCode(access, 'wrong')).toBe('AGENT_UNAUTHORISED');
    expect(roleOrCode(access, TOKENS.admin)).toBe('AGENT_TOO_MANY_ATTEMPTS');
    expect(roleOrCode(access, TOKENS.admin, 'b')).toBe('admin');
    clock.advance(60_001);
    expect(roleOrCode(access, TOKENS.admin)).toBe('admin');
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
