import { describe, expect, it } from 'vitest';
import { transportFor } from '../../../sdk/transports/open-url.js';

const codeOf = (url: string): string => {
  try {
    transportFor(url, {});
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

  it('connects again only where the other side is another process', () => {
    expect([transportFor('mock:', {}).reconnects, transportFor('ws://a:1', {}).reconnects]).toEqual([
      false,
      true,
    ]);
  });
});
