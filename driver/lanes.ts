import type { Board, RegisterWindow } from '../board/index.js';
import { CoreStatus } from './core-status.js';
import { AxiDma } from './dma/axi-dma.js';
import type { DmaChannel } from './dma/channel.js';
import { describeFault } from './fault.js';
import type { Traffic } from './traffic.js';

/** Microseconds of a wait after which all of its transfers are looked at again. */
const LOOK_AROUND_US = 200;

/** What a wait is for: for the error. */
export interface WaitedFor {
  /** What the transfers carry. */
  readonly what: string;
  /** Of which tensor. */
  readonly subject: string;
  readonly tile?: number;
}

/**
 * The DMA engines of all lanes and the transfers under way on them, which run side by side. Only lane A is waited for:
 * its results, or that it has sent what it had. The others have delivered what a tile needs once its results are there,
 * and what they still send is for the next tiles.
 */
export class Lanes {
  readonly #engines: readonly AxiDma[];
  readonly #channels: readonly DmaChannel[];
  /** The transfer that the present wait is for. */
  #awaited: DmaChannel;
  #isOver = false;
  /** Looks of the present wait. */
  #looks = 0;
  /** When all transfers were looked at, by the board's time. */
  #lookedAroundAt = 0;
  readonly #board: Board;
  readonly #control: RegisterWindow;

  constructor(board: Board, control: RegisterWindow, traffic: Traffic) {
    this.#board = board;
    this.#control = control;
    this.#engines = Array.from(
      { length: board.description.dma.lanes },
      (_, lane) => new AxiDma(board, lane, traffic),
    );
    this.#channels = this.#engines.flatMap((engine) => engine.channels);
    this.#awaited = this.#engines[0].fromDevice;
  }

  /** Resets all engines. @throws PynqLlmError DRIVER_DMA_RESET_TIMEOUT */
  reset(deadlineUs: number): void {
    for (const engine of this.#engines) engine.reset(deadlineUs);
  }

  /** Starts to send memory to lane A, to wait until it is sent. */
  send(address: number, bytes: number): void {
    this.#engines[0].toDevice.start(address, bytes);
  }

  /** Starts to send memory to a lane (0 = A) that is known to be sent once results are there. */
  stream(lane: number, address: number, bytes: number): void {
    this.#engines[lane].toDevice.start(address, bytes, false);
  }

  /** Makes room for one packet of results, which always come on lane A. Started before the words that cause it. */
  receive(address: number, bytes: number): void {
    this.#engines[0].fromDevice.start(address, bytes);
  }

  /**
   * Waits until lane A has sent what it was given.
   * @throws PynqLlmError DRIVER_DMA_... with the decoded state of everything
   */
  finishSending(deadlineUs: number, waitedFor: WaitedFor): void {
    this.#finish(this.#engines[0].toDevice, deadlineUs, waitedFor);
  }

  /**
   * Waits for the packet that there is room for; what lane A sent before it is sent then.
   * @param looksAtLength whether the packet's length is looked at also where it was there at the first look. It is of a tensor's last
   *   tile, so that a packet which ended early, and those after it which then come one too late, are noticed; and of another
   *   one in each run, in turn, so that a tile whose packet lacks words without the others being late is found within as many runs as
   *   there are tiles. An access for each tile would be one in seven. The core takes longer for a tile than the driver for
   *   its first look, so that on a board all lengths are looked at, unless Linux gave the processor to somebody else meanwhile
   * @throws PynqLlmError DRIVER_DMA_... or DRIVER_RESULT_... with the decoded state of everything
   */
  finishReceiving(deadlineUs: number, waitedFor: WaitedFor, looksAtLength: boolean): void {
    const { fromDevice, toDevice } = this.#engines[0];
    this.#finish(fromDevice, deadlineUs, waitedFor);
    // Where the packet was waited for anyway, its length is looked at too: that takes less than the time of a look.
    const isComplete =
      (this.#looks === 1 && !looksAtLength) || fromDevice.readReceived() === fromDevice.length;
    if (!isComplete || toDevice.hasMorePieces) throw this.#fault(waitedFor, deadlineUs, false);
    toDevice.finished();
  }

  /** The results of the last tile are there: nothing is under way any more. */
  finishStreams(): void {
    for (const { toDevice } of this.#engines) if (toDevice.underWay) toDevice.finished();
  }

  #finish(channel: DmaChannel, deadlineUs: number, waitedFor: WaitedFor): void {
    this.#awaited = channel;
    this.#isOver = false;
    this.#looks = 0;
    const inTime = this.#board.waitUntil(this.#look, deadlineUs);
    if (!inTime || !this.#isOver) throw this.#fault(waitedFor, deadlineUs, !inTime);
  }

  /**
   * Looks at what is waited for, and only where that is not over at the others: at split transfers, because the core may
   * wait for their next piece, and now and then at all, because one that failed has the awaited one wait until the deadline.
   * True ends the wait.
   */
  readonly #look = (): boolean => {
    this.#looks++;
    const awaited = this.#awaited;
    if (awaited.poll()) {
      this.#isOver = !awaited.failed;
      return true;
    }
    let progress = false;
    for (const { toDevice } of this.#engines) {
      if (toDevice === awaited || !toDevice.underWay || !toDevice.hasMorePieces) continue;
      const { moved } = toDevice;
      if (toDevice.poll()) return true;
      progress ||= toDevice.moved !== moved;
    }
    return !progress && this.#lookAround();
  };

  /** After the first look of a wait, which is often too early. @returns whether a transfer failed */
  #lookAround(): boolean {
    if (this.#looks === 1) return false;
    const now = this.#board.now();
    if (this.#looks > 3 && now - this.#lookedAroundAt < LOOK_AROUND_US) return false;
    this.#lookedAroundAt = now;
    return this.#channels.some((channel) => {
      if (channel.underWay && channel !== this.#awaited) channel.readStatus();
      return channel.failed;
    });
  }

  #fault({ what, subject, tile }: WaitedFor, deadlineUs: number, timedOut: boolean) {
    const { toDevice, fromDevice } = this.#engines[0];
    const active = this.#channels.filter((c) => c.underWay || c === toDevice || c === fromDevice);
    for (const channel of this.#channels) channel.inspect();
    return describeFault({
      waitedFor: `The transfer of ${what}${tile === undefined ? '' : ` of tile ${tile}`} of ${subject}`,
      deadlineUs,
      timedOut,
      channels: this.#channels,
      active,
      isSent: toDevice.moved === toDevice.length,
      core: CoreStatus.read(this.#control, this.#board.description.revision),
      faults: this.#board.takeFaults(),
    });
  }
}
