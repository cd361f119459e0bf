import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { provisionBoard } from '../../sdk/board-setup.js';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';
import { lacking } from './support/required-packages.js';

const PUBLIC_KEY =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@laptop';
const PASSWORD = 'secret word';
const hasPython = spawnSync('python3', ['-c', 'import pty']).status === 0;
const reason = hasPython ? undefined : lacking('python3 is not installed (apt: python3)');
const { username } = userInfo();

/** What a board says; see login-board.py. */
interface Play {
  readonly before?: string;
  readonly login?: string;
  readonly password?: string;
  readonly motd?: string;
  readonly ps1?: string;
  /** Further lines of the shell's start file. */
  readonly rc?: string;
  readonly refusal?: string;
  /** Seconds a byte takes, and seconds until a question. */
  readonly slow?: number;
  readonly pause?: number;
  readonly open?: boolean;
  readonly menu?: string;
  readonly noise?: boolean;
}

const ENGLISH = { login: 'pynq login: ', password: 'Password: ' };

describe.skipIf(reason !== undefined)(
  `logging in on a console${reason === undefined ? '' : ` (${reason})`}`,
  () => {
    const folder = temporaryDirectory();
    const boards: ChildProcess[] = [];
    let count = 0;
    afterAll(() => {
      for (const board of boards) board.kill();
      folder[Symbol.dispose]();
    });

    /** Starts a board; what it shall show of its own system does not depend on this machine's. */
    const start = async (play: Play) => {
      const home = join(folder.path, `board-${++count}`);
      const bin = join(home, 'bin');
      mkdirSync(bin, { recursive: true });
      const address = '[{"ifname":"eth0","addr_info":[{"local":"192.168.2.99","scope":"global"}]}]';
      writeFileSync(join(bin, 'ip'), `#!/bin/sh\necho '${address}'\n`);
      writeFileSync(join(bin, 'hostname'), '#!/bin/sh\necho the-board\n');
      for (const name of ['ip', 'hostname']) chmodSync(join(bin, name), 0o755);
      const path = `${bin}:${process.env.PATH}`;
      const spec = JSON.stringify({ ...ENGLISH, ...play, home, path, user: username });
      const board = spawn('python3', [resolve('test/system/support/login-board.py'), spec], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      boards.push(board);
      const [port] = await once(board.stdout, 'data');
      return { port: String(port).trim(), home };
    };
    const provision = async (play: Play, password = PASSWORD) => {
      const { port, home } = await start(play);
      let shown = '';
      const onBytes = (bytes: Uint8Array) => {
        shown += Buffer.from(bytes).toString('latin1');
      };
      const request = { user: username, password, publicKey: PUBLIC_KEY };
      const result = await provisionBoard(request, { port, onBytes });
      const keys = readFileSync(join(home, '.ssh', 'authorized_keys'), 'utf8');
      return { result, keys, shown };
    };

    const powerline =
      '\\[\\e[48;5;31m\\e[97m\\] \\u \\[\\e[48;5;238m\\e[38;5;31m\\]\ue0b0\\[\\e[97m\\] ~/a \\[\\e[0m\\e[38;5;238m\\]\ue0b0\\[\\e[0m\\] ';
    const conversations: Record<string, Play> = {
      'in German': {
        login: 'pynq Anmeldung: ',
        password: 'Passwort: ',
        motd: 'Willkommen!\nLetzte Anmeldung: gestern\n',
      },
      'in Japanese': { login: 'pynq ログイン： ', password: 'パスワード： ', motd: 'ようこそ\n' },
      'in Greek, whose words nobody told it': { login: 'όνομα χρήστη: ', password: 'κωδικός πρόσβασης: ' },
      'with questions that have no colon and no known word': {
        login: 'Wer da?  ',
        password: 'Und das Zauberwort?  ',
      },
      'with text behind the prompts': {
        login: 'pynq login: [   42.000001] random: crng init done\n',
        password: 'Password: (none for guests) ',
      },
      'with a motd of UTF-8': {
        before: `${'╔═══════════════╗ ★★★ 欢迎使用 ★★★ ╚═══════════════╝\n'.repeat(20)}`,
        motd: `${'│ ⚠  Добро пожаловать — 🚀🚀🚀 │\n'.repeat(40)}`,
      },
      'with a powerline prompt': { ps1: powerline },
      'with a prompt of two lines that ends in ❯, and a clock behind it': {
        ps1: '\\n╭─ \\u in ~\\n❯ \\[\\e7\\e[60C\\]12:34\\[\\e8\\]',
      },
      'with a prompt that ends in %': { ps1: 'pynq% ' },
      slowly: { slow: 0.004, pause: 4, motd: 'Welcome\n' },
      // As fish and csh: `$?` is none of their language.
      'with a shell that is not POSIX': {
        ps1: 'λ ',
        rc: `shopt -s extdebug; trap '[[ "$(history 1)" != *"\\$?"* || "$BASH_COMMAND" == history* ]]' DEBUG`,
      },
      'open already, with a prompt of its own': { open: true, ps1: 'λ ' },
    };

    it.concurrent.each(Object.entries(conversations))(
      '%s',
      async (_, play) => {
        const { result, keys, shown } = await provision(play);
        expect(result).toMatchObject({
          hostName: 'the-board',
          addresses: [{ interface: 'eth0', address: '192.168.2.99' }],
          keyWasThere: false,
        });
        expect(keys).toBe(`${PUBLIC_KEY}\n`);
        expect(shown).not.toContain(PASSWORD);
      },
      120_000,
    );

    it.concurrent('a refusal is one in every language', async () => {
      const play = { login: 'όνομα χρήστη: ', password: 'κωδικός: ', refusal: 'Λάθος στοιχεία' };
      await expect(provision(play, 'another word')).rejects.toMatchObject({ code: 'FIRMWARE_LOGIN_REFUSED' });
    }, 120_000);

    it.concurrent('a wrong bit rate is told from a language', async () => {
      await expect(provision({ noise: true })).rejects.toMatchObject({ code: 'FIRMWARE_WRONG_BAUD' });
    }, 120_000);

    it.concurrent('what is none of it ends with its last lines, where nobody can be asked', async () => {
      const { port, home } = await start({ menu: 'Board monitor v2\n1) boot  2) test  ? ' });
      const key = join(home, 'key.pub');
      writeFileSync(key, PUBLIC_KEY);
      const args = ['provision', '--port', port, '--user', username, '--key', key, '--password-stdin'];
      const { status, stderr } = await cli(args, { home, input: PASSWORD });
      expect(status).toBe(1);
      expect(stderr).toMatch(/FIRMWARE_CONSOLE_UNKNOWN.*"Board monitor v2".*"1\) boot {2}2\) test {2}\?/);
      expect(stderr).not.toContain(PASSWORD);
    }, 120_000);

    it.concurrent('what is none of it is asked, and goes on as the person says', async () => {
      const { port } = await start({ login: 'ticket #, please ' });
      const questions: string[][] = [];
      const request = { user: username, password: PASSWORD, publicKey: PUBLIC_KEY };
      const onQuestion = async (lines: readonly string[]) => {
        questions.push([...lines]);
        return 'login' as const;
      };
      const result = await provisionBoard(request, { port, onQuestion });
      expect(result.hostName).toBe('the-board');
      expect(questions).toHaveLength(1);
      expect(questions[0]?.at(-1)).toMatch(/^ticket \d+, please$/);
    }, 120_000);
  },
);
