import { describe, expect, it } from 'vitest';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { CRL_APB_REGISTERS, SLCR_REGISTERS } from '../../../board/registers/index.js';
import { digestOf } from '../../../firmware-bridge/bitstream/bitstream.js';
import { readDesign } from '../../../firmware-bridge/board-design.js';
import { startLogic } from '../../../firmware-bridge/fpga-manager/start-logic.js';
import { bitFile, configuration, IDCODE_7Z020, IDCODE_XCK26 } from './support/bitstreams.js';
import { fakeClock, memoryBoard } from './support/memory-board.js';
import { Slcr } from './support/slcr.js';

const bitstream = bitFile('7z020clg400', configuration(IDCODE_7Z020));
const forKria = bitFile('xck26-sfvc784-2LV-c', configuration(IDCODE_XCK26));
const overlay = Buffer.alloc(40);
overlay.writeUInt32BE(0xd00d_feed, 0);
overlay.writeUInt32BE(overlay.length, 4);
const APPLIED = '/sys/kernel/config/device-tree/overlays/pynq-llm/dtbo';

function start(
  named: string | BoardDescription,
  given: { bitstream: Uint8Array; overlay?: Uint8Array },
  slcr = new Slcr(),
) {
  const board = memoryBoard({ overlays: true });
  const opened: string[] = [];
  const done = startLogic(typeof named === 'string' ? loadBoardDescription(named) : named, given, {
    files: board.files,
    clock: fakeClock(),
    withRegisters: (place, use) => {
      opened.push(`0x${place.base.toString(16)} after ${board.written.at(-1)}`);
      return use(slcr);
    },
  });
  return { board, slcr, opened, done };
}

describe('starting the programmable logic', () => {
  it('programs the FPGA, then sets the clock of the board description, then applies the overlay', async () => {
    const slcr = new Slcr();
    slcr.values.set(SLCR_REGISTERS.FPGA0_CLK_CTRL.offset, 0x0040_0a00);
    const { board, opened, done } = start('pynq-z1', { bitstream, overlay }, slcr);
    expect(await done).toMatchObject({ clock: { index: 0, hz: 100_000_000, running: true } });
    expect(opened).toEqual(['0xf8000000 after /sys/class/fpga_manager/fpga0/firmware']);
    expect(board.written.at(-1)).toBe(APPLIED);
    expect(board.vol.readFileSync(APPLIED)).toEqual(overlay);
  });

  it('a second time takes the overlay back before the FPGA changes under its drivers', async () => {
    const board = memoryBoard({ overlays: true });
    const states: boolean[] = [];
    const files = {
      ...board.files,
      writeFile: async (path: string, data: Uint8Array | string) => {
        if (path.endsWith('fpga0/firmware')) states.push(board.vol.existsSync(APPLIED));
        await board.files.writeFile(path, data);
      },
    };
    const system = {
      files,
      clock: fakeClock(),
      withRegisters: <T>(_: unknown, use: (slcr: Slcr) => T) => use(new Slcr()),
    };
    for (let round = 0; round < 2; round++)
      await startLogic(loadBoardDescription('pynq-z1'), { bitstream, overlay }, system);
    expect(states).toEqual([false, false]);
    expect(board.vol.existsSync(APPLIED)).toBe(true);
  });

  it('sets the clock of an UltraScale+ whose reference is described, and to a slower one that was chosen', async () => {
    const crl = new Slcr();
    crl.locked = false;
    crl.values.set(CRL_APB_REGISTERS.IOPLL_CTRL.offset, 0x0001_3c00);
    const { opened, done } = start('kv260-2026-v3', { bitstream: forKria }, crl);
    expect(await done).toMatchObject({ clock: { index: 0, hz: 199_998_000, source: 'IOPLL' } });
    expect(opened).toEqual(['0xff5e0000 after /sys/class/fpga_manager/fpga0/firmware']);
    const slower = { ...loadBoardDescription('kv260-2026-v3'), clockHz: 100_000_000 };
    expect(await start(slower, { bitstream: forKria }, crl).done).toMatchObject({
      clock: { hz: 99_999_000 },
    });
  });

  it('leaves the clocks of an UltraScale+ whose reference is not described to its boot loader', async () => {
    const { opened, done } = start('kv260', { bitstream: forKria });
    expect(await done).toMatchObject({ clock: undefined });
    expect(opened).toEqual([]);
  });

  it('refuses a bitstream of another part before anything is written', async () => {
    const { board, done } = start('pynq-z1', { bitstream: forKria });
    await expect(done).rejects.toThrow(/FIRMWARE_WRONG_PART/);
    expect(board.written).toEqual([]);
  });

  it.each([
    ['is held in reset', SLCR_REGISTERS.FPGA_RST_CTRL.offset, 1],
    ['is cut off by its level shifters', SLCR_REGISTERS.LVL_SHFTR_EN.offset, 0],
  ])('fails where the logic %s: an access would hang the bus', async (why, offset, value) => {
    const slcr = new Slcr();
    slcr.values.set(offset, value);
    await expect(start('pynq-z1', { bitstream }, slcr).done).rejects.toThrow(
      new RegExp(`FIRMWARE_CLOCK.*${why}`),
    );
  });
});

describe('a design for a board', () => {
  it('of a shipped board can be run slower', () => {
    const { files } = readDesign({ board: 'kv260-2026-v4', bitstream: forKria, clockHz: 187_500_000 });
    expect(String(files['board.toml'])).toBe('board = "kv260-2026-v4"\nclock_hz = 187500000\n');
  });

  it('of a shipped board refers to it; a bitstream goes along as it is', () => {
    const { architecture, files } = readDesign({ board: 'pynq-z1', bitstream });
    expect(architecture).toBe('armv7');
    expect(Object.keys(files)).toEqual(['board.toml', 'fpga.bit']);
    expect(String(files['board.toml'])).toBe('board = "pynq-z1"\n');
    expect(digestOf(files['fpga.bit'])).toBe(digestOf(bitstream));
  });

  it("of a user's own file takes the file along", () => {
    const { architecture, files } = readDesign({ board: 'boards/kv260.toml' });
    expect(architecture).toBe('aarch64');
    expect(String(files['board.toml'])).toContain('name = "kv260"');
  });

  it.each([
    ['an unknown board', { board: 'zedboard' }, /DRIVER_BOARD_UNKNOWN/],
    ['a bitstream of another part', { board: 'pynq-z2', bitstream: forKria }, /FIRMWARE_WRONG_PART/],
    [
      'what is no bitstream',
      { board: 'pynq-z2', bitstream: Buffer.alloc(100) },
      /FIRMWARE_BITSTREAM_INVALID/,
    ],
    ['a faster clock', { board: 'kv260-2026-v4', clockHz: 300e6 }, /cannot run at 300000000 Hz/],
    ['a clock that nothing sets', { board: 'kv260', clockHz: 50e6 }, /does not say how its clock is set/],
    [
      'a clock beside a file',
      { board: 'boards/kv260.toml', clockHz: 50e6 },
      /FIRMWARE_CLOCK.*clock_hz in it/,
    ],
    ['what is no overlay', { board: 'pynq-z2', bitstream, overlay: Buffer.alloc(40) }, /FIRMWARE_OVERLAY/],
  ])('is refused with %s', (_, source, message) => {
    expect(() => readDesign(source)).toThrow(message);
  });
});
