import { describe, expect, it } from 'vitest';
import { digestOf, readBitstream, toFirmware } from '../../../firmware-bridge/bitstream/bitstream.js';
import { partNamed } from '../../../firmware-bridge/bitstream/parts.js';
import { programFpga } from '../../../firmware-bridge/fpga-manager/fpga-manager.js';
import { applyOverlay, removeOverlay } from '../../../firmware-bridge/fpga-manager/overlay.js';
import { bitFile, configuration, IDCODE_7Z020, IDCODE_XCK26 } from './support/bitstreams.js';
import { fakeClock, type KernelOptions, memoryBoard } from './support/memory-board.js';

const part = partNamed('7z020');
const bitstream = readBitstream(bitFile('7z020clg400', configuration(IDCODE_7Z020)));
const firmware = Buffer.from(toFirmware(bitstream, part));
const name = `${digestOf(firmware)}.bin`;

function program(options: KernelOptions = {}, what = bitstream) {
  const board = memoryBoard(options);
  return { board, done: programFpga(what, part, { files: board.files, clock: fakeClock() }) };
}

describe('programming the FPGA', () => {
  it('stores the firmware under its digest, names it to the kernel and reads the state back', async () => {
    const { board, done } = program({ states: ['write init', 'write', 'operating'] });
    expect(await done).toEqual({
      digest: digestOf(firmware),
      path: `/lib/firmware/${name}`,
      manager: 'Xilinx Zynq FPGA Manager',
    });
    expect(board.vol.readFileSync(`/lib/firmware/${name}`)).toEqual(firmware);
    expect(board.vol.readFileSync('/sys/class/fpga_manager/fpga0/firmware', 'utf8')).toBe(`${name}\n`);
    expect(board.vol.readdirSync('/lib/firmware')).toEqual([name]);
  });

  it('writes the firmware once: a second time the same bytes are there already', async () => {
    const board = memoryBoard();
    const options = { files: board.files, clock: fakeClock() };
    await programFpga(bitstream, part, options);
    board.written.length = 0;
    await programFpga(bitstream, part, options);
    expect(board.written.filter((path) => path.startsWith('/lib/firmware'))).toEqual([]);
  });

  it('does not trust a file for its name', async () => {
    const board = memoryBoard();
    board.vol.writeFileSync(`/lib/firmware/${name}`, 'something else');
    await programFpga(bitstream, part, { files: board.files, clock: fakeClock() });
    expect(board.vol.readFileSync(`/lib/firmware/${name}`)).toEqual(firmware);
  });

  it('of another part is refused before anything is written', async () => {
    const other = readBitstream(bitFile('xck26-sfvc784-2LV-c', configuration(IDCODE_XCK26)));
    const { board, done } = program({}, other);
    await expect(done).rejects.toThrow(/FIRMWARE_WRONG_PART/);
    expect(board.written).toEqual([]);
  });

  it.each<[string, KernelOptions, RegExp]>([
    ['the kernel refuses it', { refuses: 'EINVAL' }, /kernel refused it: EINVAL\. Its state is "unknown"/],
    ['it never ends', { hangs: true }, /not done after 20000 ms/],
    ['the state is an error', { states: ['write complete error'] }, /state is "write complete error"/],
    ['the FPGA never operates', { states: ['write'] }, /does not operate afterwards.*state is "write"/],
    ['the kernel cannot load files', { loadable: false }, /FIRMWARE_NO_FPGA_MANAGER.*overlays only/],
  ])('fails by name if %s', async (_, kernel, message) => {
    await expect(program(kernel).done).rejects.toThrow(message);
  });

  it('fails by name without an FPGA manager', async () => {
    const board = memoryBoard();
    board.vol.rmSync('/sys/class/fpga_manager', { recursive: true });
    const done = programFpga(bitstream, part, { files: board.files });
    await expect(done).rejects.toThrow(/FIRMWARE_NO_FPGA_MANAGER/);
  });
});

describe('a device-tree overlay', () => {
  const overlay = Buffer.alloc(40);
  overlay.writeUInt32BE(0xd00d_feed, 0);
  overlay.writeUInt32BE(overlay.length, 4);
  const folder = '/sys/kernel/config/device-tree/overlays/dma';

  it('is applied through configfs and can be taken back', async () => {
    const { files, vol } = memoryBoard({ overlays: true });
    await applyOverlay('dma', overlay, files);
    expect(vol.readFileSync(`${folder}/dtbo`)).toEqual(overlay);
    await removeOverlay('dma', files);
    expect(vol.existsSync(folder)).toBe(false);
  });

  it('that the kernel does not take leaves nothing behind', async () => {
    const { files, vol } = memoryBoard({ overlays: true, overlayStatus: 'unapplied' });
    await expect(applyOverlay('dma', overlay, files)).rejects.toThrow(/status is "unapplied"/);
    expect(vol.existsSync(folder)).toBe(false);
  });

  it('is an error where the kernel takes none', async () => {
    const { files } = memoryBoard();
    await expect(applyOverlay('dma', overlay, files)).rejects.toThrow(/FIRMWARE_OVERLAY.*takes no overlays/);
  });

  it.each(['../../../etc', '.hidden', 'a/b', ''])('cannot be named "%s"', async (bad) => {
    const { files } = memoryBoard({ overlays: true });
    await expect(applyOverlay(bad, overlay, files)).rejects.toThrow(/cannot be that of a folder/);
  });

  it('that is no compiled device tree is refused', async () => {
    const { files } = memoryBoard({ overlays: true });
    await expect(applyOverlay('dma', Buffer.from('/dts-v1/;'), files)).rejects.toThrow(/not a compiled/);
  });
});
