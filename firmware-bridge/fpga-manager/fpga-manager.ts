import { PynqLlmError } from '../../errors/index.js';
import { type Bitstream, checkPart, digestOf, toFirmware } from '../bitstream/bitstream.js';
import type { FpgaPart } from '../bitstream/parts.js';
import {
  type Clock,
  exists,
  fileFailed,
  readAttribute,
  reasonOf,
  SYSTEM_CLOCK,
  SYSTEM_FILES,
  type SystemFiles,
  withDeadline,
  writeSystemFile,
} from './system-files.js';

const MANAGER = '/sys/class/fpga_manager/fpga0';
/** Where the kernel looks for what it is told to load, by name. */
const FIRMWARE_FOLDER = '/lib/firmware';
/** `flags` 0: a full bitstream, neither partial nor encrypted (FPGA_MGR_* in the kernel's fpga-mgr.h). */
const FULL_BITSTREAM = '0';
/** Programming 4 MB takes about 0.1 s on a Zynq-7000 and 1 s through the UltraScale+ firmware. */
const DEADLINE_MS = 20_000;
const POLL_MS = 50;

export interface ProgramOptions {
  readonly files?: SystemFiles;
  readonly clock?: Clock;
  readonly deadlineMs?: number;
}

/** What the FPGA was programmed with. */
export interface Programmed {
  /** SHA-256 of the .bin, which is also its name. */
  readonly digest: string;
  readonly path: string;
  /** `name` of the FPGA manager, such as `Xilinx Zynq FPGA Manager`. */
  readonly manager: string;
}

/** The FPGA manager's state: `operating` once something was loaded, else as in the kernel's sysfs-class-fpga-manager. */
export async function fpgaState(files: SystemFiles = SYSTEM_FILES): Promise<string> {
  if (!(await exists(files, `${MANAGER}/state`)))
    throw new PynqLlmError('FIRMWARE_NO_FPGA_MANAGER', `There is no ${MANAGER}.`);
  return readAttribute(files, `${MANAGER}/state`);
}

/**
 * Programs the FPGA: checks the part before anything is written, stores the data as /lib/firmware/<sha256>.bin in the order
 * that this family takes, has the kernel load it and reads the state back.
 * @param part what the board has
 * @throws PynqLlmError FIRMWARE_WRONG_PART, FIRMWARE_PART_UNKNOWN, FIRMWARE_NO_FPGA_MANAGER, FIRMWARE_FILE_FAILED,
 *   FIRMWARE_PROGRAMMING_FAILED
 */
export async function programFpga(
  bitstream: Bitstream,
  part: FpgaPart,
  options: ProgramOptions = {},
): Promise<Programmed> {
  const { files = SYSTEM_FILES, clock = SYSTEM_CLOCK, deadlineMs = DEADLINE_MS } = options;
  checkPart(bitstream, part);
  await fpgaState(files);
  if (!(await exists(files, `${MANAGER}/firmware`)))
    throw new PynqLlmError(
      'FIRMWARE_NO_FPGA_MANAGER',
      `${MANAGER} has no attribute "firmware": this kernel programs the FPGA through device-tree overlays only.`,
    );
  const data = toFirmware(bitstream, part);
  const digest = digestOf(data);
  const name = `${digest}.bin`;
  const path = `${FIRMWARE_FOLDER}/${name}`;
  await store(files, path, data);
  await writeSystemFile(files, `${MANAGER}/flags`, `${FULL_BITSTREAM}\n`);

  const deadline = clock.now() + deadlineMs;
  const loading = files.writeFile(`${MANAGER}/firmware`, `${name}\n`).then(
    () => undefined,
    (cause: unknown) => ({ cause }),
  );
  const loaded = await withDeadline(loading, deadlineMs, clock);
  if (loaded?.value)
    throw await failed(files, `the kernel refused it: ${reasonOf(loaded.value.cause)}`, digest);
  if (!loaded) throw await failed(files, `it was not done after ${deadlineMs} ms`, digest);
  for (;;) {
    const state = await fpgaState(files);
    if (state === 'operating') break;
    if (state.endsWith('error') || clock.now() >= deadline)
      throw await failed(files, 'the FPGA does not operate afterwards', digest);
    await clock.sleep(POLL_MS);
  }
  return { digest, path, manager: await readAttribute(files, `${MANAGER}/name`) };
}

/** A file of this name is trusted only as far as its bytes are the right ones; a broken write leaves no such file. */
async function store(files: SystemFiles, path: string, data: Uint8Array): Promise<void> {
  if (await exists(files, path)) {
    const there = await files.readFile(path).catch((cause: unknown) => {
      throw fileFailed(path, 'read', cause);
    });
    if (Buffer.compare(there, data) === 0) return;
  }
  await files.mkdir(FIRMWARE_FOLDER, { recursive: true }).catch((cause: unknown) => {
    throw fileFailed(FIRMWARE_FOLDER, 'made', cause);
  });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeSystemFile(files, temporary, data);
  await files.rename(temporary, path).catch((cause: unknown) => {
    throw fileFailed(path, 'written', cause);
  });
}

async function failed(files: SystemFiles, why: string, digest: string): Promise<PynqLlmError> {
  const state = await fpgaState(files).catch(() => 'unreadable');
  return new PynqLlmError(
    'FIRMWARE_PROGRAMMING_FAILED',
    `The FPGA was not programmed: ${why}. Its state is "${state}".`,
    { context: { state, digest } },
  );
}
