import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/index.js';
import { type BoardClient, connect, isPynqLlmError } from '../../sdk/index.js';
import { testAgent } from '../system/support/agent.js';
import {
  DMA_MIB,
  dmaMib,
  ELSE_MIB,
  FILE_MIB,
  load,
  refusal,
  SENT_BYTES,
  sentTo,
  tinyLlama,
  tokensOf,
  writePartialUpload,
} from '../system/support/tiny-llama.js';
import { writeTinyLlama } from '../unit/llm/memory/sparse-model.js';
import { boardImage, reasonToSkip } from './board-image.js';
import { BoardShell, LOGIN } from './board-shell.js';
import { EmulatedBoard } from './emulated-board.js';
import { leastAvailable, watchMemory } from './free-memory.js';
import { Laptop } from './laptop.js';
import { makeCard } from './make-card.js';
import { Measurements } from './measurements.js';
import { writeReservedTree } from './reserved-tree.js';

const MEBI = 2 ** 20;
const BOOT_MS = 600_000;
const RETRY_MS = 2_000;
/** What connecting ends in while an agent starts, or while its device is opened. */
const TOO_EARLY = ['SDK_CONNECT_FAILED', 'SSH_FORWARD_FAILED', 'PROTOCOL_REQUEST_TIMEOUT'] as const;
const DEPLOY_MS = 3_000_000;
const REFUSALS = 3;
const TOKENS = 4;
const BOARD = loadBoardDescription('pynq-z1-360');
const [RESERVED] = BOARD.dmaMemory;
/** What Linux has, its own code and tables included. */
const LINUX_MIB = RESERVED.base / MEBI;
/** Reserved memory is all the contiguous memory that there is to be: the kernel keeps 64 MiB more for DMA unless told. */
const BOOT_ARGUMENTS = `mem=${LINUX_MIB}M cma=16M`;
/** Has no room for packed weights beside the model: what a new agent finds is what memory kept. */
const CARD_BYTES = 512 * MEBI;
const STORE = '/var/lib/pynq-llm';
const reason = reasonToSkip();

if (reason !== undefined) it('TinyLlama on an emulated PYNQ-Z1', ({ skip }) => skip(reason));

// One board with 360 MiB for DMA, on which every test goes on where the one before has left it.
describe.skipIf(reason !== undefined)('TinyLlama on an emulated PYNQ-Z1', () => {
  const measured = new Measurements();
  let folder: string;
  let laptop: Laptop;
  let emulated: EmulatedBoard;
  let shell: BoardShell;
  let hostKey: string;
  let model: ReturnType<typeof tinyLlama>;
  let expected: unknown[];

  const target = () => `${LOGIN.user}@127.0.0.1:${emulated.sshPort}`;
  async function session(use: (board: BoardClient) => Promise<void>): Promise<void> {
    await using board = await connected();
    await use(board);
  }
  /** Connects to the agent, as soon as it answers. */
  async function connected(): Promise<BoardClient> {
    const ssh = { hostKey, password: LOGIN.password };
    const end = performance.now() + BOOT_MS;
    for (;;) {
      try {
        return await connect(`ssh://${target()}`, { ssh, timeoutMs: 120_000 });
      } catch (error) {
        const isEarly = TOO_EARLY.some((code) => isPynqLlmError(error, code));
        if (!isEarly || performance.now() > end) throw error;
        await delay(RETRY_MS);
      }
    }
  }
  /** Seconds that processors have spent on the board and on its client. */
  const computed = (): number => {
    const { user, system } = process.cpuUsage();
    return emulated.cpuSeconds() + (user + system) / 1e6;
  };
  /** Notes how long something takes, and what QEMU computes for it. */
  const time = <T>(what: string, action: () => Promise<T>): Promise<T> =>
    measured.time(what, action, () => emulated.cpuSeconds());

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pynq-llm-board-'));
    const image = await boardImage();
    // Where the SDK keeps the host's key: not with the user's own.
    process.env.HOME = join(folder, 'home');
    laptop = new Laptop(process.env.HOME);
    model = tinyLlama();
    const secondCard = join(folder, 'store.img');
    const store = join(folder, 'store');
    mkdirSync(join(store, 'partial'), { recursive: true });
    writePartialUpload(model.path, join(store, 'partial', model.digest));
    await makeCard(store, secondCard, CARD_BYTES);
    rmSync(store, { recursive: true });
    const deviceTree = join(folder, 'reserved.dtb');
    await writeReservedTree(image.deviceTree, RESERVED, deviceTree);
    const options = { deviceTree, bootArguments: BOOT_ARGUMENTS, secondCard };
    emulated = await EmulatedBoard.start(image, folder, options);
    await using agent = await testAgent({ device: 'mock:pynq-z1' });
    await using here = await connect(agent.url);
    await here.models.store(model.path);
    // Staged tiles of another board: what the bits do not depend on.
    expected = await tokensOf(await here.models.load(model.digest, { contextLength: 128 }));
  });

  afterAll(async () => {
    shell?.[Symbol.dispose]();
    await emulated?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    measured.write(join('dist', 'test', 'board', 'measured-tiny-llama.md'));
  });

  it(`boots with ${BOOT_ARGUMENTS}`, async () => {
    await emulated.waitForConsole(/pynq login:/, BOOT_MS);
    shell = await BoardShell.connect(emulated.sshPort);
    await shell.run('systemctl is-system-running --wait', BOOT_MS);
    const total = Number(/^MemTotal: +(\d+) kB$/m.exec(await shell.run('cat /proc/meminfo'))?.[1]) / 1024;
    expect(total).toBeLessThan(LINUX_MIB);
    hostKey = (await shell.run('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub')).split(' ')[1];
    const keys = '~/.ssh/authorized_keys';
    await shell.sudo(`mkdir -m 700 ${STORE} && mount /dev/mmcblk1 ${STORE}`);
    await shell.run(`mkdir -m 700 ~/.ssh && echo '${laptop.publicKey}' > ${keys} && chmod 600 ${keys}`);
  });

  it('gets an agent whose mock computes in the reserved memory, and which may not open /dev/mem', async () => {
    const args = ['deploy', target(), '--agent-device', 'mock:pynq-z1-360?memory=reserved'];
    const how = ['--password-stdin', '--yes', '--host-key', hostKey, '--deadline', '1800'];
    await time('`deploy`', () => laptop.ask([...args, ...how], { timeoutMs: DEPLOY_MS }));
    await shell.sudo(`chown -R pynq-llm: ${STORE}/partial`);
    await watchMemory(shell);
    await session(async (board) => {
      const total = (await board.health()).dmaMemory?.total;
      expect(total).toBe(RESERVED.size);
    });
  });

  it('gets 32 MiB of the model over the wire, the rest being on its card', async () => {
    expect(Math.floor(statSync(model.path).size / MEBI)).toBe(FILE_MIB);
    await session(async (board) => {
      const sent = await time('Upload', () => sentTo(board, model.path));
      expect(sent).toBe(SENT_BYTES);
    });
  });

  it('refuses Q3_K_S within 2 s, with the table', () =>
    session(async (board) => {
      const path = join(folder, 'tinyllama-Q3_K_S.gguf');
      writeTinyLlama(path);
      const answers = [];
      for (let i = 0; i < REFUSALS; i++) {
        const before = computed();
        const answer = await refusal(board, path);
        const seconds = answer.milliseconds / 1000;
        // What both have computed is what it takes where nothing else has the machine meanwhile.
        answers.push({ ...answer, seconds: Math.min(seconds, computed() - before) });
        measured.seconds(i === 0 ? 'Refusal of Q3_K_S' : '… again', seconds);
      }
      const [{ code, message }] = answers;
      const least = Math.min(...answers.map(({ seconds }) => seconds));
      measured.seconds('… computed at least', least);
      expect(code).toBe('LLM_MEMORY_DMA');
      expect(message).toMatch(/^ {2}this model's weights +456\.3$/m);
      expect(message).toMatch(/^ {2}short of +99\.0$/m);
      expect(message).toContain('quantised as Q2_K throughout with a Q4_K output matrix');
      expect(least).toBeLessThan(2);
    }));

  it('loads the model and generates the tokens and the bits of this machine', () =>
    session(async (board) => {
      const loaded = await time('Load, packing', () => load(board, model.digest));
      expect(loaded.weights).toEqual({ packed: expect.any(Number), read: 0, found: 0 });
      expect(loaded.placement.totals.staged.tensors).toBe(0);
      expect(dmaMib(loaded.memory)).toBe(DMA_MIB);
      const tokens = await time(`Prompt and ${TOKENS} tokens`, () => tokensOf(loaded, TOKENS));
      expect(tokens).toHaveLength(TOKENS);
      expect(tokens).toEqual(expected);
    }));

  it('finds the weights in memory after a restart of the agent', async () => {
    await shell.sudo('systemctl restart pynq-llm', BOOT_MS);
    await session(async (board) => {
      const loaded = await time('Load after a restart', () => load(board, model.digest));
      expect(loaded.weights).toEqual({ packed: 0, read: 0, found: expect.any(Number) });
      expect(loaded.weights!.found).toBeGreaterThan((DMA_MIB - 1) * MEBI);
      // One tells: the others took minutes.
      const tokens = await time('Prompt and one token', () => tokensOf(loaded, 1));
      expect(tokens).toEqual(expected.slice(0, 1));
    });
  });

  it(`has used at most ${ELSE_MIB} MiB outside the reservation meanwhile`, async () => {
    const peak = LINUX_MIB * MEBI - (await leastAvailable(shell));
    measured.bytes('Most memory in use, the kernel included', peak);
    const pid = await shell.run('systemctl show -P MainPID pynq-llm');
    const status = await shell.run(`cat /proc/${pid}/status`);
    measured.bytes("The agent's most (resident)", 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]));
    expect(peak).toBeLessThan(ELSE_MIB * MEBI);
  });
});
