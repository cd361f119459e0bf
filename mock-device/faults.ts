import type { BoardFault } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';

/**
 * Everything that can go wrong on the mock, by name. Each can be switched on; those that the mock can recognise
 * it also reports by itself. `at` is what `after` and `count` of a switch count.
 */
export const FAULTS = {
  'dma-never-completes': {
    at: 'DMA transfer',
    effect: 'The transfer starts and moves nothing; DMASR stays busy until the DMA engine is reset.',
  },
  'dma-decode-error': {
    at: 'DMA transfer',
    effect:
      'DMADecErr and the error interrupt rise, the channel halts. By itself: an address outside of DMA memory.',
  },
  'dma-slave-error': {
    at: 'DMA transfer',
    effect: 'DMASlvErr and the error interrupt rise, the channel halts.',
  },
  'dma-internal-error': {
    at: 'DMA transfer',
    effect:
      'DMAIntErr and the error interrupt rise, the channel halts. By itself: LENGTH 0 or not in whole words.',
  },
  'no-tlast': {
    at: 'result packet',
    effect: 'The packet arrives without TLAST: the receiving channel never completes.',
  },
  'result-short': {
    at: 'result packet',
    effect: 'TLAST comes one word early: LENGTH reads 4 bytes less than the results are.',
  },
  'result-long': {
    at: 'result packet',
    effect:
      'One word too many comes; a packet longer than LENGTH raises DMAIntErr. By itself: LENGTH too small.',
  },
  'core-stuck': {
    at: 'COMPUTE',
    effect:
      'The scheduler stays in state 31. By itself: after a load of a type that the bitstream lacks, or of wrong lengths.',
  },
  'unknown-type': {
    at: 'COMPUTE',
    effect:
      'The results mean nothing; here they are NaN. By itself: a type that the bitstream lacks, without a load of it.',
  },
  'stream-desynchronised': {
    at: 'LOAD_WGT',
    effect:
      'The core takes all further words for data and never answers. By itself: too few or too many words, or an instruction cut by a DMA reset.',
  },
  'capacity-exceeded': {
    at: 'LOAD_WGT',
    effect:
      'The core stops in the instruction. By itself: more super-blocks, or elements of a SOFT_MAX, than the core holds.',
  },
  'stale-cache': {
    at: 'DMA transfer',
    effect:
      'The transfer stops. By itself: memory that was not handed to the device, or handed back too early.',
  },
  'bus-error': {
    at: 'register access',
    effect:
      'The access throws. By itself: an address outside of the declared windows, or not a multiple of 4.',
  },
  hazard: {
    at: 'COMPUTE',
    effect:
      'The core stops. By itself: a load or a change of type that overtakes what a COMPUTE has yet to read, a SOFT_MAX whose results overtake those of a COMPUTE or that is not alone in its opcode word, a transfer started on a busy channel.',
  },
} as const;

export type FaultName = keyof typeof FAULTS;

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

/** Switches a fault on. */
export interface FaultSwitch {
  readonly name: FaultName;
  /** Lets this many opportunities pass first; 0 by default. */
  readonly after?: number;
  /** How many times it shows; 1 by default. */
  readonly count?: number;
  /** Only on this lane (0 = A); any lane by default. */
  readonly lane?: number;
  /** Only on sending (`mm2s`) or receiving (`s2mm`) channels; either by default. */
  readonly channel?: 'mm2s' | 's2mm';
}

/** Where an opportunity for a fault is. */
interface FaultPlace {
  readonly lane?: number;
  readonly channel?: 'mm2s' | 's2mm';
}
const ANYWHERE: FaultPlace = {};

interface ArmedFault extends FaultSwitch {
  remainingBefore: number;
  remaining: number;
}

/** Faults that are switched on one after the other, and again from the first, at equal distances of real time. */
interface FaultRota {
  readonly faults: readonly ArmedFault[];
  readonly everyMs: number;
  readonly now: () => number;
  readonly startedAt: number;
  switchedOn: number;
}

/** The switches of one board, and the log of the faults that occurred. */
export class FaultPanel {
  #armed: ArmedFault[] = [];
  #occurred: BoardFault[] = [];
  #rota: FaultRota | undefined;

  /** @throws PynqLlmError MOCK_UNKNOWN_FAULT */
  inject(fault: FaultSwitch): void {
    this.#armed.push(armed(fault));
  }

  /**
   * Switches one of `faults` on every `everyMs` milliseconds of `now`, in turn; {@link switchOnDue} looks at the time.
   * @throws PynqLlmError MOCK_UNKNOWN_FAULT
   */
  injectInTurn(faults: readonly FaultSwitch[], everyMs: number, now: () => number): void {
    this.#rota = { faults: faults.map(armed), everyMs, now, startedAt: now(), switchedOn: 0 };
  }

  /** Switches on what is due by now. What was due while nobody used the board comes once, not as often as it was missed. */
  switchOnDue(): void {
    if (this.#rota === undefined) return;
    const { faults, everyMs, now, startedAt, switchedOn } = this.#rota;
    const due = Math.floor((now() - startedAt) / everyMs);
    if (due <= switchedOn) return;
    this.#armed.push({ ...faults[(due - 1) % faults.length] });
    this.#rota.switchedOn = due;
  }

  /** Whether any fault is switched on and has not shown yet. */
  get anyOn(): boolean {
    return this.#armed.length > 0;
  }

  /** Whether a switched-on fault shows at this opportunity; it is reported then. */
  shows(name: FaultName, where: FaultPlace = ANYWHERE): boolean {
    return this.anyOn && this.#showsArmed(name, where);
  }

  #showsArmed(name: FaultName, where: FaultPlace): boolean {
    const fault = this.#armed.find(
      ({ name: its, lane, channel }) =>
        its === name &&
        (lane === undefined || lane === where.lane) &&
        (channel === undefined || channel === where.channel),
    );
    if (fault === undefined) return false;
    if (fault.remainingBefore > 0) {
      fault.remainingBefore--;
      return false;
    }
    if (--fault.remaining <= 0) this.#armed = this.#armed.filter((other) => other !== fault);
    this.report(name, `switched on: ${FAULTS[name].effect}`);
    return true;
  }

  report(name: FaultName, detail: string): void {
    this.#occurred.push({ name, detail });
  }

  /** What occurred since the last call. */
  take(): readonly BoardFault[] {
    const faults = this.#occurred;
    this.#occurred = [];
    return faults;
  }
}

/** @throws PynqLlmError MOCK_UNKNOWN_FAULT */
function armed(fault: FaultSwitch): ArmedFault {
  const { after = 0, count = 1 } = fault;
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!isFaultName(fault.name) || !isCount(after) || !isCount(count))
    throw new PynqLlmError(
      'MOCK_UNKNOWN_FAULT',
      `A fault "${fault.name}" after ${after} times, ${count} times, cannot be switched on.`,
      { context: { fault: fault.name, after, count } },
    );
  return { ...fault, remainingBefore: after, remaining: count };
}
