import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { boardCommands } from '../../../firmware-bridge/provision/commands.js';
import { checkRequest, fingerprintOf } from '../../../firmware-bridge/provision/request.js';
import { ProvisionSession } from '../../../firmware-bridge/provision/session.js';
import { PASSWORD, PUBLIC_KEY, runSession } from './support/scripted-board.js';

const request = { user: 'xilinx', password: PASSWORD, publicKey: PUBLIC_KEY };

describe('provisioning a board that waits for a login', () => {
  it('logs in, installs the key and reads machine, address and host keys', () => {
    expect(runSession({}).result).toEqual({
      hostName: 'pynq',
      machine: 'armv7l',
      kernel: '5.15.19-xilinx',
      addresses: [{ interface: 'eth0', address: '192.168.2.99' }],
      hostKeys: [
        {
          type: 'ssh-ed25519',
          key: PUBLIC_KEY.split(' ')[1],
          fingerprint: fingerprintOf(PUBLIC_KEY.split(' ')[1]!),
        },
      ],
      keyWasThere: false,
    });
  });

  it('logs out again', () => {
    expect(runSession({}).sent).toMatch(/ exit\r$/);
  });

  it('works whatever the pieces are in which the bytes come', () => {
    for (const chunk of [1, 2, 3, 64, 4096]) expect(runSession({}, {}, chunk).result?.hostName).toBe('pynq');
  });

  it('says what it does without the password', () => {
    const { notices } = runSession({}, { hostName: 'bench-7' });
    expect(notices.join('\n')).toContain('install the SSH key');
    expect(notices.join('\n')).not.toContain(PASSWORD);
  });

  it('gives the password to sudo where root is needed', () => {
    const { result } = runSession({}, { hostName: 'bench-7', staticAddress: '192.168.2.50/24' });
    expect(result?.hostName).toBe('bench-7');
  });

  it('waits for an address that DHCP has yet to give', () => {
    const later = '[{"ifname":"eth0","addr_info":[{"local":"10.0.0.7","scope":"global"}]}]';
    const { result } = runSession({ answers: { ip: ['[]', '[]', later] } });
    expect(result?.addresses).toEqual([{ interface: 'eth0', address: '10.0.0.7' }]);
  });

  it('sends a command again whose output a message of the kernel has cut in two', () => {
    const whole = '[{"ifname":"eth0","addr_info":[{"local":"10.0.0.7","scope":"global"}]}]';
    const damaged = whole.replace('"addr', '\n[   12.345678] macb eth0: link up\n"addr');
    const torn = whole.replace('"addr', '"ad macb eth0: link up dr');
    const { result } = runSession({ answers: { ip: [torn, damaged] } });
    expect(result?.addresses).toHaveLength(1);
  });

  it('does not mind messages of the kernel between the lines', () => {
    expect(runSession({ kernelLine: '[   42.000001] random: crng init done' }).result?.machine).toBe(
      'armv7l',
    );
  });
});

describe('provisioning at other moments', () => {
  it('follows a boot and logs in at its end', () => {
    const boot = [
      [100, 'U-Boot 2022.01\r\nHit any key to stop autoboot:  2 '],
      [1100, '\b\b\b 1 '],
      [2100, '\b\b\b 0 \r\nStarting kernel ...\r\n'],
      [9000, '[    5.1] systemd[1]: Started Getty.\r\n\r\npynq login: '],
    ] as const;
    const { result, sent } = runSession({ boot });
    expect(result?.hostName).toBe('pynq');
    expect(sent.indexOf('\r')).toBeGreaterThanOrEqual(0);
  });

  it('presses no key while the boot loader counts down', () => {
    const session = new ProvisionSession(checkRequest(request), 0);
    for (let now = 0; now <= 20_000; now += 100) {
      if (now % 1000 === 0) session.receive(Buffer.from(`\b\b\b${20 - now / 1000} `), now);
      expect(session.elapse(now).send).toBe('');
    }
  });

  it('boots a board that waits in its boot loader, once', () => {
    const { error, sent } = runSession({ bootLoader: true });
    expect(sent).toContain('boot\r');
    expect(error?.code).toMatch(/FIRMWARE_(NO_ANSWER|BOOT_FAILED)/);
  });

  it('uses a console that is logged in already, and leaves it so', () => {
    const { result, sent } = runSession({ autologin: true });
    expect(result?.hostName).toBe('pynq');
    expect(sent).not.toContain('exit');
    expect(sent).not.toContain(PASSWORD);
  });

  it('refuses a console where somebody else is logged in', () => {
    const { error } = runSession({ autologin: true, answers: { id: ['root\narmv7l\n5.15\npynq'] } });
    expect(error?.message).toMatch(/FIRMWARE_LOGIN_REFUSED.*logged in as root, not as xilinx/);
  });
});

describe('a failure', () => {
  const bootsTo = (line: string) =>
    runSession({
      boot: [
        [0, 'Starting kernel ...\r\n'],
        [500, `${line}\r\n`],
        [9e5, ''],
      ],
    });

  it.each([
    ['Kernel panic - not syncing: Attempted to kill init!', /stopped with a panic/],
    [
      'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(179,2)',
      /no root file system/,
    ],
    ['You are in emergency mode. After logging in, type', /emergency mode/],
  ])('"%s" ends it at once', (line, message) => {
    const { error, now } = bootsTo(line);
    expect(error?.message).toMatch(message);
    expect(now).toBeLessThan(1000);
  });

  it.each([
    ['mmc0: error -110 whilst initialising SD card', /SD card does not read well/],
    ['Waiting for root device /dev/mmcblk0p2...', /waits for its root file system/],
    ['** Unable to read file image.ub **', /no usable kernel/],
  ])('"%s" is told at once, and is the reason if no login comes', (line, message) => {
    const { error, notices } = bootsTo(line);
    expect(notices.join()).toMatch(message);
    expect(error?.message).toMatch(message);
    expect(error?.code).toBe('FIRMWARE_BOOT_FAILED');
  });

  it('of the password is said once and not tried again', () => {
    const { error, sent } = runSession({ password: 'other' });
    expect(error?.message).toMatch(/FIRMWARE_LOGIN_REFUSED.*does not take this password/);
    expect(sent.split(PASSWORD)).toHaveLength(2);
    expect(error?.message).not.toContain(PASSWORD);
  });

  it('of an image that wants a new password is named', () => {
    const session = new ProvisionSession(checkRequest({ ...request, user: 'ubuntu' }), 0);
    session.receive(Buffer.from('\r\nkria login: '), 100);
    session.receive(Buffer.from('ubuntu\r\nPassword: '), 200);
    const text = '\r\nYou are required to change your password immediately.\r\nCurrent password: ';
    expect(session.receive(Buffer.from(text), 300).error?.message).toMatch(/wants a new password for ubuntu/);
  });

  it('of a wrong bit rate is told from the noise', () => {
    const session = new ProvisionSession(checkRequest(request), 0);
    const noise = Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 89 + 131) % 256));
    expect(session.receive(noise, 0).error?.code).toBe('FIRMWARE_WRONG_BAUD');
  });

  it.each([
    ['UTF-8', Buffer.from('добро пожаловать │ ようこそ │ ★★★ '.repeat(20))],
    ['UTF-8 that begins within a character', Buffer.from('欢迎'.repeat(80)).subarray(1)],
    [
      'KOI8-R',
      Buffer.from(Array.from({ length: 300 }, (_, i) => (i % 7 === 6 ? 0x20 : 0xc0 + ((i * 11) % 32)))),
    ],
    ['Shift-JIS', Buffer.from(Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? 0x83 : 0x40 + (i % 60))))],
    ['colours', Buffer.from('\x1b[1;31m[ OK ]\x1b[0m\x07\r\n'.repeat(20))],
  ])('is not a wrong bit rate: %s', (_, text) => {
    const session = new ProvisionSession(checkRequest(request), 0);
    for (let at = 0; at < text.length; at += 5)
      expect(session.receive(text.subarray(at, at + 5), 0).error).toBeUndefined();
  });

  it('of a line that is held down is told from its zeros', () => {
    const session = new ProvisionSession(checkRequest(request), 0);
    expect(session.receive(Buffer.alloc(200), 0).error?.code).toBe('FIRMWARE_WRONG_BAUD');
  });

  it('of a board that says nothing ends within half a minute', () => {
    const session = new ProvisionSession(checkRequest(request), 0);
    expect(session.elapse(29_000).error).toBeUndefined();
    expect(session.elapse(30_000).error?.message).toMatch(/said nothing for 30 s/);
  });

  it('of a command shows what the board said', () => {
    const { error } = runSession({ answers: { '(umask': ['FAILED: Read-only file system'] } });
    expect(error?.message).toMatch(/could not install the SSH key: FAILED: Read-only file system/);
  });

  it('to get an address says what helps', () => {
    expect(runSession({ answers: { ip: ['[]'] } }).error?.message).toMatch(/plug in its network cable/);
  });
});

describe('what goes into a command line', () => {
  it.each([
    ['a private key', { publicKey: '-----BEGIN OPENSSH PRIVATE KEY-----' }],
    ['two keys', { publicKey: `${PUBLIC_KEY}\n${PUBLIC_KEY}` }],
    ['a key of another type than it says', { publicKey: PUBLIC_KEY.replace('ssh-ed25519', 'ssh-rsa') }],
    ['options before a key', { publicKey: `command="rm -rf ~" ${PUBLIC_KEY}` }],
    ['a host name with a command', { hostName: 'a;reboot' }],
    ['an address without prefix', { staticAddress: '192.168.2.99' }],
    ['an address that is none', { staticAddress: '192.168.2.999/24' }],
    ['a loopback address', { staticAddress: '127.0.0.1/8' }],
    ['a user with a quote', { user: "x'y" }],
    ['a password of two lines', { password: 'a\nreboot' }],
  ])('is not %s', (_, change) => {
    expect(() => checkRequest({ ...request, ...change })).toThrow(/FIRMWARE_BAD_REQUEST/);
  });

  it('keeps only harmless characters of a comment', () => {
    const { publicKey } = checkRequest({
      ...request,
      publicKey: `${PUBLIC_KEY.split(' ', 2).join(' ')} it's $(me) é`,
    });
    expect(publicKey).toMatch(/ it_s___me___$/);
  });

  it('is what a shell takes', () => {
    const checked = checkRequest({ ...request, hostName: 'bench-7', staticAddress: '192.168.2.50/24' });
    for (const { line } of boardCommands(checked, { hostKeys: [], addresses: [] })) {
      expect(() => execFileSync('sh', ['-n'], { input: line })).not.toThrow();
      expect(line.length).toBeLessThan(4000);
    }
  });
});

describe('a hostile console', () => {
  it('ends in a typed error, a result, or nothing yet', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'login: ',
        'Password: ',
        '$ ',
        '\r\n',
        '<<PL-0-1\n',
        '\n>>PL-0-1 0\n',
        'PL-PASS:',
        '\x1b[',
        '\x1b]0;',
      ),
      fc.string({ maxLength: 20 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const session = new ProvisionSession(checkRequest(request), 0);
        for (const [i, text] of pieces.entries()) {
          const step = session.receive(Buffer.from(text), i * 50);
          if (step.error) expect(step.error).toBeInstanceOf(PynqLlmError);
        }
      }),
    );
  });

  it('gets the password once at most', () => {
    const session = new ProvisionSession(checkRequest(request), 0);
    let sent = '';
    for (let i = 0; i < 50; i++)
      for (const text of ['\r\nx login: ', '\r\nPassword: '])
        sent += session.receive(Buffer.from(text), i * 100).send;
    expect(sent.split(PASSWORD)).toHaveLength(2);
  });
});
