import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { rememberProvisioned } from '../../cli/boards/provisioned.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';
import { freePort } from './support/free-port.js';
import { noSshd, startSshd } from './support/sshd.js';

const TOKENS = { admin: 'a-token-of-an-administrator', read: 'a-token-for-reading' };
/** A board that hangs is given up by then. */
const LONGEST_MS = 60_000;

let folder: ReturnType<typeof temporaryDirectory>;
let one: AgentHandle;
let two: AgentHandle;
/** Takes connections and never says a word. */
let silent: Server;
let urls: Record<'one' | 'two' | 'dead' | 'hanging', string>;

const file = () => join(folder.path, 'config', 'pynq-llm', 'boards.toml');
const write = (text: string, mode = 0o600) => {
  mkdirSync(dirname(file()), { recursive: true });
  writeFileSync(file(), text);
  chmodSync(file(), mode);
};
const run = (args: string[], env: Record<string, string> = {}) =>
  cli(args, {
    home: folder.path,
    env: { XDG_CONFIG_HOME: join(folder.path, 'config'), XDG_STATE_HOME: join(folder.path, 'state'), ...env },
    timeoutMs: LONGEST_MS,
  });
const json = ({ stdout }: { stdout: string }) => JSON.parse(stdout);

beforeAll(async () => {
  folder = temporaryDirectory();
  one = await testAgent();
  two = await testAgent({ listen: `unix:${join(folder.path, 'two.sock')}`, token: undefined });
  silent = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
  urls = {
    one: one.url,
    two: two.url,
    dead: `ws://127.0.0.1:${await freePort()}`,
    hanging: `ws://127.0.0.1:${(silent.address() as AddressInfo).port}`,
  };
});
beforeEach(() => {
  write(
    `# my bench
one = "${urls.one}"

[two]
url = "${urls.two}"  # under the desk
[dead]
url = "${urls.dead}"
[hanging]
url = "${urls.hanging}"
`,
  );
});
afterAll(async () => {
  await one?.close();
  await two?.close();
  silent?.close();
  folder?.[Symbol.dispose]();
});

describe('several boards, of which one is dead and one hangs', () => {
  it(
    'status tells of each, and ends with the status of the worst',
    async () => {
      const table = await run(['status', '--all']);
      expect(table.status).toBe(1);
      expect(table.stdout).toMatch(/^one +ready/m);
      expect(table.stdout).toMatch(/^two +ready/m);
      expect(table.stdout).toMatch(/^dead +no answer$/m);
      expect(table.stdout).toMatch(/^hanging +no answer$/m);
      expect(table.stderr).toMatch(/^pynq-llm: dead: \[PL\d+ SDK_CONNECT_FAILED\]/m);
      expect(table.stderr).toMatch(/^pynq-llm: hanging: \[PL\d+ /m);
      const shown = json(await run(['status', '--all', '--json']));
      expect(Object.keys(shown)).toEqual(['one', 'two', 'dead', 'hanging']);
      expect(shown.two).toMatchObject({
        device: urls.two,
        unit: null,
        agent: { health: { state: 'ready' } },
      });
      expect(shown.dead.error.code).toBe('SDK_CONNECT_FAILED');
    },
    2 * LONGEST_MS,
  );

  it('those that answer end with status 0, by name or by URL, each once', async () => {
    const result = await run(['status', '-d', 'one', '-d', urls.two, '-d', 'one', '--json']);
    expect({ status: result.status, boards: Object.keys(json(result)) }).toEqual({
      status: 0,
      boards: ['one', urls.two],
    });
  });

  it('one board has the output that it always had', async () => {
    expect(json(await run(['status', '-d', 'one', '--json']))).toMatchObject({
      device: urls.one,
      unit: null,
    });
  });

  it(
    'upload, models and what is done with models reach those that answer',
    async () => {
      const chosen = ['-d', 'one', '-d', 'dead', '-d', 'two'];
      const stored = await run(['upload', TINY_MODEL, ...chosen, '--name', 'tiny', '--json']);
      expect(stored.status).toBe(1);
      expect(json(stored)).toMatchObject({
        one: { names: ['tiny'] },
        two: { names: ['tiny'] },
        dead: { error: { code: 'SDK_CONNECT_FAILED' } },
      });
      const again = await run(['upload', TINY_MODEL, '-d', 'one', '-d', 'two', '--name', 'tiny']);
      expect(again.status).toBe(0);
      expect(again.stdout).toMatch(/^one \| tiny .*was there already/m);
      expect(again.stdout).toMatch(/^two \| tiny .*was there already/m);
      const loaded = await run(['models', 'load', 'tiny', '-d', 'one', '-d', 'two']);
      expect(loaded.stdout).toMatch(/^two \| tiny: loaded/m);
      const listed = await run(['models', ...chosen]);
      expect(listed.status).toBe(1);
      expect(listed.stdout).toMatch(/^one +tiny +\S+ \S+ +loaded/m);
      expect(listed.stdout).toMatch(/^dead +no answer$/m);
      const byName = json(await run(['models', ...chosen, '--json']));
      expect(byName.two).toMatchObject([{ names: ['tiny'], state: 'loaded' }]);
      const deleted = await run(['models', 'delete', 'nothing-like-it', '-d', 'one', '-d', 'two']);
      expect(deleted.status).toBe(1);
      expect(deleted.stderr.match(/AGENT_MODEL_UNKNOWN/g)).toHaveLength(2);
    },
    2 * LONGEST_MS,
  );

  it(
    'top has a row for each',
    async () => {
      const once = await run(['top', '-d', 'one', '-d', 'two', '-d', 'dead', '--once', '--interval', '0.2']);
      expect(once.status).toBe(1);
      expect(once.stdout).toMatch(/^one +ready +\d/m);
      expect(once.stdout).toMatch(/^dead +SDK_CONNECT_FAILED/m);
      const shown = json(await run(['top', '--all', '--once', '--interval', '0.2', '--json']));
      expect(shown.one).toMatchObject({ health: { state: 'ready' }, figures: { columnsPerSecond: 0 } });
      expect(shown.hanging.error).toBeDefined();
    },
    2 * LONGEST_MS,
  );

  it(
    'doctor examines each, and fails if one fails',
    async () => {
      const shown = await run(['doctor', '--no-touch', '-d', 'one', '-d', 'dead', '--json']);
      expect(shown.status).toBe(1);
      expect(json(shown)).toMatchObject({ one: { passed: true }, dead: { passed: false } });
      const text = await run(['doctor', '--no-touch', '-d', 'one', '-d', 'two']);
      expect(text).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(/^== two\n[\s\S]*^two +passed +\d+ passed/m),
      });
    },
    2 * LONGEST_MS,
  );

  it('logs says of each that it needs SSH', async () => {
    const { status, stderr } = await run(['logs', '-d', 'one', '-d', 'two']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^pynq-llm: one: .*SERVICE_NEEDS_SSH/m);
    expect(stderr).toMatch(/^pynq-llm: two: .*SERVICE_NEEDS_SSH/m);
  });
});

describe('a name', () => {
  it('goes wherever a device URL does, also in the variable', async () => {
    expect((await run(['counters', '-d', 'one', '--json'])).status).toBe(0);
    expect((await run(['models', '--json'], { PYNQ_LLM_DEVICE: 'two' })).status).toBe(0);
    expect(await run(['run', 'Once', '-n', '1', '-d', 'nobody'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/CLI_BOARD_UNKNOWN.*"nobody".*boards\.toml has one, two, dead, hanging/),
    });
  });

  it('brings its token, before the variable and behind the flag', async () => {
    await using agent = await testAgent({ token: TOKENS });
    write(`[bench]\nurl = "${agent.url}"\ntoken = "${TOKENS.read}"\n`);
    const models = (...args: string[]) =>
      run(['models', '-d', 'bench', '--json', ...args], { PYNQ_LLM_TOKEN: 'another' });
    expect((await models()).status).toBe(0);
    expect((await models('--token', 'a-wrong-one')).stderr).toMatch(/AGENT_UNAUTHORISED/);
    expect((await run(['boards', '--json'])).stdout).not.toContain(TOKENS.read);
  });

  it('is given once to a command that works on one board', async () => {
    const { status, stderr } = await run(['counters', '-d', 'one', '-d', 'two']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/works on one board/);
  });
});

describe('boards', () => {
  it(
    'lists them, and says which answer',
    async () => {
      const { status, stdout } = await run(['boards']);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^one +ws:\S+ +ready$/m);
      expect(stdout).toMatch(/^dead +ws:\S+ +SDK_CONNECT_FAILED$/m);
      expect(stdout).toMatch(/^hanging +ws:\S+ +no answer$/m);
      expect(json(await run(['boards', 'list', '--json', '--no-reach']))).toHaveLength(4);
    },
    LONGEST_MS,
  );

  it('adds and removes them, and leaves the rest of the file as it was', async () => {
    const before = readFileSync(file(), 'utf8');
    expect((await run(['boards', 'add', 'kria-1', 'ssh://ubuntu@10.0.0.7'])).status).toBe(0);
    expect(readFileSync(file(), 'utf8')).toBe(`${before}\n[kria-1]\nurl = "ssh://ubuntu@10.0.0.7"\n`);
    expect((await run(['boards', 'add', 'kria-1', 'mock:'])).status).toBe(2);
    expect((await run(['boards', 'remove', 'two'])).status).toBe(0);
    expect((await run(['boards', 'remove', 'one'])).status).toBe(0);
    const after = readFileSync(file(), 'utf8');
    expect(after).toMatch(/^# my bench\n\n\[dead\]\n/);
    expect(after).toContain('[kria-1]');
    expect(await run(['boards', 'remove', 'two'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/CLI_BOARD_UNKNOWN/),
    });
  });

  it('begins a file for its owner alone, and keeps a token in no other', async () => {
    const env = { XDG_CONFIG_HOME: join(folder.path, 'fresh') };
    expect((await run(['boards', 'add', 'a', 'mock:', '--token', 'secret-of-the-board'], env)).status).toBe(
      0,
    );
    const fresh = join(folder.path, 'fresh', 'pynq-llm', 'boards.toml');
    expect(statSync(fresh).mode & 0o777).toBe(0o600);
    chmodSync(fresh, 0o644);
    const { status, stderr } = await run(['boards'], env);
    expect(status).toBe(1);
    expect(stderr).toMatch(/CLI_BOARDS_FILE.*boards\.toml:1: .*token.*chmod 600/);
    expect(stderr).not.toContain('secret-of-the-board');
  });

  it.each([
    ['is no TOML', '[a]\nurl = "mock:"\nurl == 2\n', /boards\.toml:3: /],
    [
      'has a board without a URL',
      '[a]\nurl = "mock:"\n\n[b]\ntoken = "x"\n',
      /boards\.toml:4: "b" has no url/,
    ],
    ['has a field that there is not', '\n[a]\nurl = "mock:"\nuser = "x"\n', /boards\.toml:2: .*"user"/],
    ['has a URL that is none', 'a = "pynq"\n', /boards\.toml:1: "a" has no url/],
    ['has a name that is none', '\n["a b"]\nurl = "mock:"\n', /boards\.toml:2: "a b"/],
    ['has something else than text', '[a]\nurl = 7\n', /boards\.toml:1: url of "a" is no text/],
  ])('a file that %s is an error with the line', async (_, text, message) => {
    write(text);
    const { status, stderr } = await run(['boards']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/CLI_BOARDS_FILE/);
    expect(stderr).toMatch(message);
  });

  it('without a file there are none, and --all says so', async () => {
    const env = { XDG_CONFIG_HOME: join(folder.path, 'nothing') };
    expect((await run(['boards'], env)).stdout).toMatch(/no boards/);
    expect(await run(['status', '--all'], env)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/boards add/),
    });
  });
});

describe.skipIf(noSshd !== undefined)(
  `boards behind SSH${noSshd === undefined ? '' : ` (${noSshd})`}`,
  () => {
    it(
      'scan finds what was provisioned, by the host keys that came over the cable; deploy takes names',
      async () => {
        await using sshd = await startSshd();
        const { HOME, XDG_STATE_HOME } = process.env;
        const state = join(folder.path, 'state');
        const remember = (hostName: string, address: string, fingerprint: string) =>
          rememberProvisioned(sshd.user, {
            hostName,
            machine: 'armv7l',
            kernel: '5.15',
            addresses: [{ interface: 'eth0', address }],
            hostKeys: [{ type: 'ssh-ed25519', key: '', fingerprint }],
            keyWasThere: false,
          });
        process.env.XDG_STATE_HOME = state;
        try {
          remember('bench-7', '127.0.0.1', 'SHA256:an old key of the same board');
          remember('bench-7', '127.0.0.1', sshd.fingerprint);
          remember('other', '127.0.0.2', `SHA256:${'A'.repeat(43)}`);
        } finally {
          if (XDG_STATE_HOME === undefined) delete process.env.XDG_STATE_HOME;
          else process.env.XDG_STATE_HOME = XDG_STATE_HOME;
        }
        expect(process.env.HOME).toBe(HOME);
        const login = `Host 127.0.0.*\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  IdentityFile ${sshd.keyFile}\n`;
        writeFileSync(join(sshd.home, '.ssh', 'config'), login, { mode: 0o600 });
        const there = (args: string[]) => run(args, { HOME: sshd.home });
        const scanned = json(await there(['boards', 'scan', '--json', '--add']));
        const found = (name: string) => scanned.filter((one: { name: string }) => one.name === name);
        expect(found('bench-7')[0]).toMatchObject({
          url: `ssh://${sshd.user}@127.0.0.1`,
          answers: true,
          state: 'no agent: pynq-llm deploy',
        });
        expect(found('other')[0]).toMatchObject({
          answers: false,
          state: expect.stringMatching(/SSH_HOST_KEY_CHANGED/),
        });
        expect(readFileSync(file(), 'utf8')).toMatch(/\[bench-7\]\nurl = "ssh:/);

        const without = ['--without-systemd', join(folder.path, 'board'), '--list', '--yes', '--json'];
        const listed = await there(['deploy', 'bench-7', `${sshd.user}@127.0.0.1:1`, ...without]);
        expect(listed.status).toBe(1);
        expect(json(listed)).toMatchObject({
          'bench-7': [],
          [`${sshd.user}@127.0.0.1:1`]: { error: { code: 'SSH_UNREACHABLE' } },
        });
        expect((await there(['deploy'])).status).toBe(2);
      },
      LONGEST_MS,
    );
  },
);
