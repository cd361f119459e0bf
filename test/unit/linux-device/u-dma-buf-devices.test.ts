import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { leastMemory } from '../../../driver/working-memory.js';
import { openLinuxBoard } from '../../../linux-device/board.js';
import { errno, FakeMachine, MEBI, meminfo, type Tree, uDmaBuf, windowsInUio } from './fake-machine.js';

const kv260 = loadBoardDescription('kv260-2026-v3');
const MANAGER = '/dev/u-dma-buf-mgr';
const NAMES = [...Array(8).keys()].map((i) => `udmabuf${i}`);
const ALL = [64, 16, 64, 16, 64, 16, 64, 16];

const tree: Tree = {
  ...windowsInUio(kv260),
  '/sys/class/fpga_manager/fpga0/state': 'operating\n',
  ...meminfo(1024 * 1024, 1000 * 1024),
  [MANAGER]: '',
};

interface ManagerOptions {
  /** Bytes of the pieces that CMA has. */
  readonly pieces?: number[];
  /** Whether a create without memory is an error of the write; else the device just does not appear. */
  readonly says?: boolean;
  readonly base?: number;
}

/** The module: devices appear in sysfs and /dev, as far as there are pieces of memory. */
function manage(machine: FakeMachine, { pieces, says = true, base = 0x4000_0000 }: ManagerOptions = {}) {
  const commands: string[] = [];
  let next = base;
  machine.onManager = (line) => {
    expect(line.endsWith('\n')).toBe(true);
    commands.push(line.trim());
    const [verb, name, size] = line.trim().split(' ');
    const directory = `/sys/class/u-dma-buf/${name}`;
    if (verb === 'delete') {
      if (!machine.volume.existsSync(directory)) throw errno('EINVAL', MANAGER);
      machine.volume.rmSync(directory, { recursive: true });
      machine.volume.rmSync(`/dev/${name}`);
      return;
    }
    const bytes = Number(size);
    const piece = pieces?.findIndex((free) => free >= bytes) ?? 0;
    if (piece < 0) {
      if (says) throw errno('ENOMEM', MANAGER);
      return;
    }
    pieces?.splice(piece, 1);
    for (const [path, content] of Object.entries(uDmaBuf(next, bytes, { name: name! }))) {
      machine.volume.mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
      machine.volume.writeFileSync(path, content);
    }
    next += bytes;
  };
  return commands;
}

function open(
  files: Tree = tree,
  options: ManagerOptions = {},
  boardOptions: Parameters<typeof openLinuxBoard>[1] = {},
) {
  const machine = new FakeMachine(files, 'arm64');
  const commands = manage(machine, options);
  const board = () => openLinuxBoard(kv260, { least: leastMemory(kv260), system: machine, ...boardOptions });
  return { machine, commands, board };
}

describe('devices of u-dma-buf-mgr', () => {
  it('are made as described, have the addresses that the kernel chose, and are deleted on close', () => {
    const { machine, commands, board: openBoard } = open();
    const board = openBoard();
    expect(commands).toEqual(NAMES.map((name, i) => `create ${name} ${ALL[i]! * MEBI}`));
    expect(board.description.dmaMemory.slice(0, 3)).toEqual([
      { base: 0x4000_0000, size: 64 * MEBI },
      { base: 0x4400_0000, size: 16 * MEBI },
      { base: 0x4500_0000, size: 64 * MEBI },
    ]);
    expect(board.report.memory).toMatchObject({ kind: 'u-dma-buf', passedOver: [] });
    expect(board.report.memory.detail).not.toContain('less than');
    expect(board.dmaMemory().total).toBe(320 * MEBI);
    const buffer = board.allocate(64);
    buffer.giveToDevice();
    expect(buffer.physicalAddress).toBe(0x4000_0000);
    commands.length = 0;
    board.close();
    expect(commands).toEqual(NAMES.toReversed().map((name) => `delete ${name}`));
    expect(machine.mappedNodes).toEqual([]);
    expect(machine.opened.size).toBe(0);
  });

  it('of other sizes are made where the models need them', () => {
    const { commands, board } = open(tree, {}, { inBytes: 128 * MEBI });
    expect(board().dmaMemory().total).toBe(4 * (128 + 16) * MEBI);
    expect(commands[0]).toBe(`create udmabuf0 ${128 * MEBI}`);
  });

  it('that a killed process left are deleted first, once the engines are stopped; others are left alone', () => {
    const left = {
      ...uDmaBuf(0x7000_0000, 64 * MEBI),
      ...uDmaBuf(0x6000_0000, 16 * MEBI, { name: 'udmabuf5' }),
      ...uDmaBuf(0x5000_0000, MEBI, { name: 'camera' }),
    };
    const { machine, commands, board } = open({ ...tree, ...left });
    const manager = machine.onManager;
    machine.onManager = (line) => {
      // uio2 is dma0: bit 2 of its DMACR is the reset.
      for (const engine of [2, 3, 4, 5]) expect(machine.mapped(`/dev/uio${engine}`).words[0]).toBe(4);
      manager(line);
    };
    expect(board().description.dmaMemory.some(({ base }) => base >= 0x5000_0000)).toBe(true);
    expect(commands.slice(0, 3)).toEqual([
      'delete udmabuf0',
      'delete udmabuf5',
      `create udmabuf0 ${64 * MEBI}`,
    ]);
    expect(machine.volume.existsSync('/sys/class/u-dma-buf/camera')).toBe(true);
    expect(machine.mappedNodes).not.toContain('/dev/camera');
  });

  it('that cannot be deleted are an error with the kernel’s reason', () => {
    const { machine, board } = open({ ...tree, ...uDmaBuf(0x7000_0000, 64 * MEBI) });
    machine.onManager = (line) => {
      throw errno('EBUSY', line.trim());
    };
    expect(board).toThrow(/LINUX_DEVICE_NOT_DELETED.*udmabuf0.*EBUSY.*restart the board/);
    expect(machine.opened.size).toBe(0);
  });

  it.each([true, false])(
    'are made smaller where CMA is fragmented, whether the module says so (%s) or not',
    (says) => {
      const pieces = [64, 16, 40, 40, 40].map((mib) => mib * MEBI);
      const { board } = open(tree, { pieces, says });
      const opened = board();
      expect(opened.description.dmaMemory.map(({ size }) => size / MEBI)).toEqual([64, 16, 32, 16, 32]);
      expect(opened.report.memory.detail).toMatch(
        /less than the 320 MiB described, because CMA had no larger/,
      );
    },
  );

  it('are not asked for where CMA has less free', () => {
    const { commands, board } = open({ ...tree, ...meminfo(262_144, 200 * 1024) });
    board();
    expect(commands.slice(0, 2)).toEqual([`create udmabuf0 ${32 * MEBI}`, `create udmabuf1 ${16 * MEBI}`]);
  });

  it.each([
    [
      [],
      /LINUX_DMA_MEMORY_FRAGMENTED.*udmabuf0 could not be made, neither of 64 MiB nor of less: CMA has 1024 MiB, 1000 MiB of it free.*Restart the board: CMA fragments/,
    ],
    [[MEBI, MEBI], /LINUX_DMA_MEMORY_FRAGMENTED/],
    [[2 * MEBI], /LINUX_DMA_MEMORY_SHORT.*udmabuf0 \(2 MiB.*has 2 MiB/],
  ])('are an error where CMA has only the pieces %j', (pieces, message) => {
    const { machine, commands, board } = open(tree, { pieces: [...pieces] });
    expect(board).toThrow(message);
    expect(machine.mappedNodes).toEqual([]);
    expect(machine.opened.size).toBe(0);
    expect(commands.filter((line) => line.startsWith('create udmabuf0')).length).toBeLessThanOrEqual(6);
    for (const name of NAMES) expect(machine.volume.existsSync(`/sys/class/u-dma-buf/${name}`)).toBe(false);
  });

  it('beyond 4 GiB are refused and deleted: the core does not reach them', () => {
    const { machine, board } = open(tree, { base: 0xf800_0000 });
    expect(board).toThrow(/LINUX_PHYSICAL_ADDRESS_UNKNOWN.*beyond 4 GiB/);
    expect(machine.volume.readdirSync('/sys/class/u-dma-buf')).toEqual([]);
  });

  it('are opened when udev has given them to the group, within a deadline', () => {
    const late = open();
    const node = '/sys/class/u-dma-buf/udmabuf3/sync_for_cpu';
    late.machine.denied.add(node);
    const manager = late.machine.onManager;
    let refusals = 0;
    late.machine.onManager = (line) => {
      manager(line);
      if (!line.startsWith('create udmabuf3')) return;
      const { now } = late.machine;
      Object.assign(late.machine, {
        now: () => {
          if (++refusals === 5) late.machine.denied.delete(node);
          return now();
        },
      });
    };
    expect(late.board().dmaMemory().total).toBe(320 * MEBI);
    expect(refusals).toBeGreaterThanOrEqual(5);
    const never = open();
    never.machine.denied.add(node);
    expect(never.board).toThrow(/LINUX_OPEN_FAILED.*udmabuf3.*permission is denied/);
    expect(never.machine.volume.readdirSync('/sys/class/u-dma-buf')).toEqual([]);
  });

  it('need the manager: without it devices that are there are taken, and without both it is said how', () => {
    const { [MANAGER]: _, ...without } = tree;
    const given = open({ ...without, ...uDmaBuf(0x6000_0000, 64 * MEBI) });
    expect(given.board().description.dmaMemory).toEqual([{ base: 0x6000_0000, size: 64 * MEBI }]);
    expect(given.commands).toEqual([]);
    expect(open(without).board).toThrow(
      /LINUX_NO_DMA_MEMORY.*320 MiB as described.*reserved: the board description gives no place.*modprobe u-dma-buf-mgr\./,
    );
    const denied = open();
    denied.machine.denied.add(MANAGER);
    expect(denied.board).toThrow(/LINUX_OPEN_FAILED.*u-dma-buf-mgr.*permission is denied/);
  });
});

it('a design without interrupts is polled, whatever its UIO devices have', () => {
  const { machine, board } = open();
  for (let i = 0; i < 6; i++) machine.interrupts.add(`/dev/uio${i}`);
  let slept = 0;
  machine.onWaitReadable = () => {
    slept++;
    return true;
  };
  const opened = board();
  expect(opened.report.interrupts).toBe(0);
  let asked = 0;
  expect(opened.waitUntil(() => ++asked > 3, 1e6)).toBe(true);
  expect(slept).toBe(0);
});
