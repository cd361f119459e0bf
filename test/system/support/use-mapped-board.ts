import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Accelerator } from '../../../driver/accelerator.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { GgmlType } from '../../../gguf/types.js';
import { openLinuxBoard } from '../../../linux-device/index.js';
import { fill } from '../../unit/board/contents.js';
import { layOutBoard, MAPPED_Z1, readWord, startLogic, systemIn } from './mapped-board.js';

/** What was seen; the same on every architecture. */
export type Sightings = Record<string, unknown>;

/**
 * Opens a board whose registers and memory are files in `root`, uses it through the unmodified driver, and looks into
 * the files beside the mappings.
 */
export async function useMappedBoard(root: string): Promise<Sightings> {
  layOutBoard(root);
  return { ...useRegistersAndMemory(root), ...(await useAccelerator(root)) };
}

function useRegistersAndMemory(root: string): Sightings {
  const board = openLinuxBoard(MAPPED_Z1, { system: systemIn(root), devmem: true });
  const dma0 = board.window('dma0');
  dma0.write32(0x18, 0xfedc_ba98);
  const slcr = board.window('slcr');
  const levelShifters = slcr.read32(0x900);
  slcr.write32(0x008, 0xdf0d);
  const buffer = board.allocate(100);
  fill(buffer, 0x5a);
  buffer.giveToDevice();
  const { physicalAddress } = buffer;
  buffer.giveToCpu();
  const sightings = {
    report: board.report,
    registerBack: dma0.read32(0x18),
    registerInFile: readWord(root, '/dev/uio1', 0x18),
    levelShifters,
    unlockInFile: readWord(root, '/dev/mem', 0xf800_0008),
    physicalAddress,
    memoryInFile: readWord(root, '/dev/udmabuf0', 0),
    forDevice: readFileSync(join(root, '/sys/class/u-dma-buf/udmabuf0/sync_for_device'), 'latin1'),
    forCpu: readFileSync(join(root, '/sys/class/u-dma-buf/udmabuf0/sync_for_cpu'), 'latin1'),
    waitedInVain: board.waitUntil(() => false, 3000),
  };
  board.close();
  return {
    ...sightings,
    memoryAfterClose: codeOf(() => fill(buffer, 1)),
    memoryInFileAfterClose: readWord(root, '/dev/udmabuf0', 0),
    accessAfterClose: codeOf(() => dma0.read32(0)),
  };
}

async function useAccelerator(root: string): Promise<Sightings> {
  const seen: Sightings = {};
  for (const behaviour of ['silent', 'decode-error'] as const) {
    const logic = await startLogic(root, behaviour);
    const board = openLinuxBoard(MAPPED_Z1, { system: systemIn(root), devmem: true });
    const accelerator = new Accelerator(board, { minimumDeadlineUs: 1_000_000 });
    const program = accelerator.load(
      {
        name: 'blk.0.attn_q',
        type: GgmlType.Q2_K,
        rows: 4,
        columns: 256,
        readRows: (_first, _count, into) => void into.fill(1),
      },
      'resident',
    );
    const multiply = () =>
      accelerator.multiply([program], 1, (blocks) => void blocks.fill(2), [new Float32Array(4)]);
    seen[behaviour] = {
      status: accelerator.status().describe(),
      error: messageOf(multiply),
      again: codeOf(multiply),
    };
    accelerator.close();
    board.close();
    await logic.terminate();
  }
  return seen;
}

/** The code of the error that an action throws. */
export function codeOf(action: () => unknown): string {
  try {
    action();
    return 'none';
  } catch (error) {
    return isPynqLlmError(error) ? error.code : String(error);
  }
}

function messageOf(action: () => unknown): string {
  try {
    action();
    return 'none';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
