import {
  type BoardDescription,
  CRL_APB_WINDOW,
  type RegisterWindow,
  SLCR_WINDOW,
} from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { readBitstream } from '../bitstream/bitstream.js';
import { fpgaOf } from '../board-design.js';
import { type FclkState, setFclk } from './fclk.js';
import { type Programmed, type ProgramOptions, programFpga } from './fpga-manager.js';
import { applyOverlay, removeOverlay } from './overlay.js';
import { type PlClockState, setPlClock } from './pl-clock.js';

/** Name of the overlay in configfs. */
const OVERLAY = 'pynq-llm';

export interface LogicFiles {
  readonly bitstream: Uint8Array;
  readonly overlay?: Uint8Array | undefined;
}

export interface LogicSystem extends ProgramOptions {
  /** Opens registers of the processor. */
  readonly withRegisters: <T>(
    place: typeof SLCR_WINDOW | typeof CRL_APB_WINDOW,
    use: (window: RegisterWindow) => T,
  ) => T;
}

/** What was done. */
export interface StartedLogic extends Programmed {
  /** Undefined where the board description names no clock or reference: then it is as the boot loader set it. */
  readonly clock: FclkState | PlClockState | undefined;
}

/**
 * Makes the programmable logic ready: takes the former overlay back, programs the FPGA, sets the clock that the board
 * description names, applies the overlay. Each step is read back.
 * @throws PynqLlmError FIRMWARE_..., LINUX_...
 */
export async function startLogic(
  board: BoardDescription,
  { bitstream, overlay }: LogicFiles,
  system: LogicSystem,
): Promise<StartedLogic> {
  const part = fpgaOf(board);
  await removeOverlay(OVERLAY, system.files);
  const programmed = await programFpga(readBitstream(bitstream), part, system);
  const clock = part.family === 'zynq-7000' ? startFclk(board, system) : startPlClock(board, system);
  if (overlay !== undefined) await applyOverlay(OVERLAY, overlay, system.files);
  return { ...programmed, clock };
}

function startFclk({ fpga, clockHz }: BoardDescription, system: LogicSystem): FclkState | undefined {
  const { clock: index, referenceHz } = fpga ?? {};
  if (index === undefined || referenceHz === undefined) return undefined;
  const clock = system.withRegisters(SLCR_WINDOW, (slcr) => setFclk(slcr, index, clockHz, referenceHz));
  if (!clock.inReset && clock.levelShifters) return clock;
  throw new PynqLlmError(
    'FIRMWARE_CLOCK',
    `FCLK${clock.index} runs, but the logic ${clock.inReset ? 'is held in reset' : 'is cut off by its level shifters'}.`,
    { context: { clock: clock.index } },
  );
}

function startPlClock({ fpga, clockHz }: BoardDescription, system: LogicSystem): PlClockState | undefined {
  const { clock: index, referenceHz } = fpga ?? {};
  if (index === undefined || referenceHz === undefined) return undefined;
  return system.withRegisters(CRL_APB_WINDOW, (crl) => setPlClock(crl, index, clockHz, referenceHz));
}
