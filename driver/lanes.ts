import type { Board, RegisterWindow } from '../board/index.js';
import { CoreStatus } from './core-status.js';
import { AxiDma } from './dma/axi-dma.js';
import type { DmaChannel } from './dma/channel.js';
import { describeFault } from './fault.js';
import type { Traffic } from './traffic.js';

/** Microseconds of a wait after which all of its transfers are looked at again. */
const LOOK_AROUND_US = 200;

/**
 * The DMA engines of all lanes and the transfers under way on them. Transfers are started one by one, run side by
 * side and are waited for together.
 */
export class Lanes {
  readonly #engines: readonly AxiDma[];
  readonly #channels: readonly DmaChannel[];
  readonly #active: DmaChannel[] = [];
  readonly #over: boolean[] = [];
  /** Polls of the present wait that brought nothing forward. */
  #inVain = 0;
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
  }

  /** Resets all engines. @throws PynqLlmError DRIVER_DMA_RESET_TIMEOUT */
  reset(deadlineUs: number): void {
    this.#forget();
    for (const engine of this.#engines) engine.reset(deadlineUs);
  }

  /** Starts to send memory to a lane (0 = A). */
  send(lane: number, address: number, bytes: number): void {
    this.#begin(this.#engines[lane].toDevice, address, bytes);
  }

  /** Makes room for one packet of results, which always come on lane A. Started before the words that cause it. */
  receive(address: number, bytes: number): void {
    this.#begin(this.#engines[0].fromDevice, address, bytes);
  }

  #begin(channel: DmaChannel, address: number, bytes: number): void {
    channel.start(address, bytes);
    this.#active.push(channel);
    this.#over.push(false);
  }

  /**
   * Waits for all transfers started since the last wait.
   * @param what what they carry, and `subject` of which tensor, and which tile of it: for the error
   * @throws PynqLlmError DRIVER_DMA_... or DRIVER_RESULT_... with the decoded state of everything
   */
  finish(deadlineUs: number, what: string, subject: string, tile?: number): void {
    const inTime = this.#board.waitUntil(this.#allOver, deadlineUs);
    if (!inTime || !this.#active.every(asExpected)) {
      const waitedFor = `The transfer of ${what}${tile === undefined ? '' : ` of tile ${tile}`} of ${subject}`;
      throw this.#fault(waitedFor, deadlineUs, !inTime);
    }
    this.#forget();
  }

  #forget(): void {
    // Setting a length to 0 gives the arrays' memory back, and it is needed again at once.
    while (this.#active.pop() !== undefined) this.#over.pop();
    this.#inVain = 0;
  }

  /**
   * Polls transfers in the order in which they were started, and later ones only once the earlier are over: the
   * fewest accesses. Split transfers are always polled, because the core may wait for their next piece. One that
   * failed ends the wait at once, since the others then wait for it until the deadline: when the driver was woken in
   * vain, it looks at them all.
   */
  readonly #allOver = (): boolean => {
    let all = true;
    let progress = false;
    for (let i = 0; i < this.#active.length; i++) {
      if (this.#over[i]) continue;
      const channel = this.#active[i];
      if (!all && !channel.hasMorePieces) continue;
      const { moved } = channel;
      this.#poll(i);
      if (channel.failed) return true;
      progress ||= this.#over[i] || channel.moved !== moved;
      all &&= this.#over[i];
    }
    return all || (!progress && this.#lookAround());
  };

  #poll(i: number): void {
    this.#over[i] = this.#active[i].poll();
  }

  /** After the first poll of a wait, which is often too early. @returns whether a transfer failed */
  #lookAround(): boolean {
    if (this.#inVain++ === 0) return false;
    const now = this.#board.now();
    if (this.#inVain > 2 && now - this.#lookedAroundAt < LOOK_AROUND_US) return false;
    this.#lookedAroundAt = now;
    return this.#active.some((channel, i) => {
      if (!this.#over[i]) this.#poll(i);
      return channel.failed;
    });
  }

  #fault(waitedFor: string, deadlineUs: number, timedOut: boolean) {
    for (const channel of this.#channels) {
      const i = this.#active.indexOf(channel);
      if (i >= 0 && !this.#over[i]) channel.poll();
      else channel.readStatus();
    }
    const scene = {
      waitedFor,
      deadlineUs,
      timedOut,
      channels: this.#channels,
      active: [...this.#active],
      core: CoreStatus.read(this.#control, this.#board.description.revision),
      faults: this.#board.takeFaults(),
    };
    this.#forget();
    return describeFault(scene);
  }
}

function asExpected(channel: DmaChannel): boolean {
  return !channel.failed && channel.moved === channel.length;
}
