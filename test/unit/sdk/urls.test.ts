import { describe, expect, it } from 'vitest';
import { type PlaceOptions, transportFor } from '../../../sdk/transports/open-url.js';
import { parseFingerprint } from '../../../sdk/transports/pinned-tls.js';

const codeOf = (url: string, options: PlaceOptions = {}): string => {
  try {
    transportFor(url, options);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  return 'accepted';
};

describe('a URL to connect to', () => {
  it.each([
    'mock',
    'mock:',
    'mock:kv260?realtime=1',
    'ws://127.0.0.1:1',
    'wss://board.local:7787',
    'unix:/run/a.sock',
    'ws://a:1,ws://b:1',
    'wss://a,wss://b:7787,ws://c',
  ])('%s is accepted', (url) => {
    expect(codeOf(url)).toBe('accepted');
  });

  it.each(['', 'board:7787', 'http://board', 'unix:relative', 'unix:/a:b', 'ws://', 'ws://token@board:1'])(
    '"%s" is refused',
    (url) => {
      expect(codeOf(url)).toBe('SDK_URL');
    },
  );

  it.each(['ssh://xilinx@pynq', 'ssh://pynq:2222/tmp/a.sock', 'ssh://[fe80::1]:22?port=7787'])(
    '%s is accepted',
    (url) => {
      expect(codeOf(url)).toBe('accepted');
    },
  );

  it.each(['ssh://', 'ssh://a b', 'ssh://board:0', 'ssh://board/a.sock?port=1', 'ssh://-oProxyCommand=x'])(
    '"%s" is refused as a board',
    (url) => {
      expect(codeOf(url)).toBe('SSH_TARGET');
    },
  );

  it('never shows a password in the error', () => {
    expect(() => transportFor('ws://user:secret@board:1', {})).toThrow(/^(?!.*secret)/);
  });

  it.each(['ws://a:1,b:1', 'ws://a:1,', 'ws://a:1,unix:/b', 'ws://a:1,ws://token@b:1', 'ws://a,,ws://b'])(
    '"%s" is refused as several places',
    (url) => {
      expect(codeOf(url)).toBe('SDK_URL');
      expect(() => transportFor(url, {})).toThrow(/^(?!.*token@)/);
    },
  );

  it('names as many ways as places', () => {
    expect(transportFor('ws://a:1,wss://b:1', {}).open).toHaveLength(2);
    expect(transportFor('ws://a:1,wss://b:1', {}).reconnects).toBe(true);
  });

  it('connects again only where the other side is another process', () => {
    expect([transportFor('mock:', {}).reconnects, transportFor('ws://a:1', {}).reconnects]).toEqual([
      false,
      true,
    ]);
  });
});

describe('a pinned fingerprint', () => {
  const digits = '0123456789abcdef'.repeat(4);
  const pairs = digits.match(/../g)?.join(':').toUpperCase();

  it.each([digits, pairs ?? '', `SHA256:${digits}`, `sha256 Fingerprint=${pairs}`, ` ${digits}\n`])(
    'is read from "%s"',
    (text) => {
      expect(parseFingerprint(text)).toBe(pairs);
      expect(codeOf('wss://board:7787', { fingerprint: text })).toBe('accepted');
    },
  );

  it.each([
    '',
    digits.slice(1),
    `${digits}0`,
    `${digits.slice(1)}g`,
    'SHA256:FURWZbKzwI6oQHGM0hYpRLuZbVXbpOdAJRnZEEpwEXA',
  ])('is not read from "%s"', (text) => {
    expect(codeOf('wss://board:7787', { fingerprint: text })).toBe('SDK_FINGERPRINT_INVALID');
  });

  it('is refused where no certificate is shown, and beside an authority', () => {
    expect(codeOf('ws://board:7787', { fingerprint: digits })).toBe('SDK_URL');
    expect(codeOf('wss://board:7787', { fingerprint: digits, ca: 'PEM' })).toBe('SDK_URL');
  });
});
