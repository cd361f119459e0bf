import { PynqLlmError } from '../../errors/index.js';
import {
  exists,
  readAttribute,
  reasonOf,
  SYSTEM_FILES,
  type SystemFiles,
  writeSystemFile,
} from './system-files.js';

/** Xilinx's kernels have this interface to device-tree overlays; mainline kernels do not. */
const OVERLAYS = '/sys/kernel/config/device-tree/overlays';
/** First word of a compiled device tree, big-endian (Devicetree Specification, 5.2). */
const DTB_MAGIC = 0xd00d_feed;
const MAX_OVERLAY_BYTES = 1 << 20;

/** Whether this kernel takes overlays. */
export async function overlaysSupported(files: SystemFiles = SYSTEM_FILES): Promise<boolean> {
  return exists(files, OVERLAYS);
}

/**
 * Applies a compiled device-tree overlay under a name and reads back that the kernel took it. What fails is taken back.
 * @param name letters, digits, dots and dashes: a folder of configfs
 * @throws PynqLlmError FIRMWARE_OVERLAY, FIRMWARE_FILE_FAILED
 */
export async function applyOverlay(
  name: string,
  overlay: Uint8Array,
  files: SystemFiles = SYSTEM_FILES,
): Promise<void> {
  checkOverlay(overlay);
  const folder = folderOf(name);
  if (!(await overlaysSupported(files)))
    throw new PynqLlmError(
      'FIRMWARE_OVERLAY',
      `There is no ${OVERLAYS}: the kernel takes no overlays, or configfs is not mounted.`,
    );
  if (await exists(files, folder))
    throw new PynqLlmError('FIRMWARE_OVERLAY', `An overlay "${name}" is there already.`, {
      context: { name },
      remedy: 'Remove it first.',
    });
  try {
    await files.mkdir(folder);
  } catch (cause) {
    throw failed(name, `its folder cannot be made: ${reasonOf(cause)}`, cause);
  }
  try {
    await writeSystemFile(files, `${folder}/dtbo`, overlay);
    const status = await readAttribute(files, `${folder}/status`);
    if (status !== 'applied') throw failed(name, `its status is "${status}"`);
  } catch (error) {
    await files.rmdir(folder).catch(() => undefined);
    throw error;
  }
}

/** Takes an overlay back. Nothing happens where there is none of that name. @throws PynqLlmError FIRMWARE_OVERLAY */
export async function removeOverlay(name: string, files: SystemFiles = SYSTEM_FILES): Promise<void> {
  const folder = folderOf(name);
  if (!(await exists(files, folder))) return;
  await files.rmdir(folder).catch((cause: unknown) => {
    throw failed(name, `it cannot be removed: ${reasonOf(cause)}`, cause);
  });
}

function folderOf(name: string): string {
  if (!/^[a-z0-9][a-z0-9.-]{0,62}$/i.test(name)) throw failed(name, 'its name cannot be that of a folder');
  return `${OVERLAYS}/${name}`;
}

/** @throws PynqLlmError FIRMWARE_OVERLAY */
export function checkOverlay(overlay: Uint8Array): void {
  const view = new DataView(overlay.buffer, overlay.byteOffset, overlay.byteLength);
  const magic = overlay.length >= 8 && view.getUint32(0) === DTB_MAGIC;
  if (!magic || overlay.length > MAX_OVERLAY_BYTES || view.getUint32(4) !== overlay.length)
    throw new PynqLlmError('FIRMWARE_OVERLAY', 'The file is not a compiled device-tree overlay (.dtbo).');
}

function failed(name: string, why: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('FIRMWARE_OVERLAY', `The overlay "${name}" was not applied: ${why}.`, {
    context: { name },
    cause,
  });
}
