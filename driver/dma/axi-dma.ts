import type { Board } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { countedWindow, type Traffic } from '../traffic.js';
import { DmaChannel, longestPiece } from './channel.js';

/** The AXI DMA engine of one lane: both channels share one reset. */
export class AxiDma {
  readonly toDevice: DmaChannel;
  readonly fromDevice: DmaChannel;

  readonly #board: Board;

  constructor(
    board: Board,
    readonly lane: number,
    traffic: Traffic,
  ) {
    this.#board = board;
    const window = countedWindow(board.window(`dma${lane}`), traffic);
    const longest = longestPiece(board.description.dma.lengthBits);
    this.toDevice = new DmaChannel(window, 'MM2S', longest, traffic);
    this.fromDevice = new DmaChannel(window, 'S2MM', longest, traffic);
  }

  get channels(): readonly DmaChannel[] {
    return [this.toDevice, this.fromDevice];
  }

  /**
   * Resets the engine and lets both channels run. Transfers under way are lost.
   * @throws PynqLlmError DRIVER_DMA_RESET_TIMEOUT
   */
  reset(deadlineUs: number): void {
    this.toDevice.requestReset();
    this.#await(
      'the end of its reset',
      () => this.channels.every((channel) => !channel.inReset()),
      deadlineUs,
    );
    for (const channel of this.channels) channel.run();
    this.#await(
      'both channels to run',
      () => this.channels.every((channel) => channel.isRunning()),
      deadlineUs,
    );
  }

  #await(what: string, done: () => boolean, deadlineUs: number): void {
    if (this.#board.waitUntil(done, deadlineUs)) return;
    throw new PynqLlmError(
      'DRIVER_DMA_RESET_TIMEOUT',
      `dma${this.lane} kept the driver waiting for ${what} for ${deadlineUs} us.`,
      {
        context: { window: `dma${this.lane}`, waitedFor: what, deadlineUs },
      },
    );
  }
}
